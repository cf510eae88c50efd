"""Asterisk: FastAGI for the decision, AudioSocket for the media, AMI beside them."""
