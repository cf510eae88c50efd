"""FreeSWITCH: its calls come over our SIP endpoint, its event socket does what SIP can't."""
