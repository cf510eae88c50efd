"""Hostile input for everything that reads SIP, SDP, RTP and RTCP: how it is made, and what it is thrown at."""
