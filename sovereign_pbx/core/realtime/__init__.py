"""A conversation with a model that hears and speaks itself, pure: its signals, orders, working memory and moves."""
