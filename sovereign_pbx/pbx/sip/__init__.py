"""Every PBX that can dial SIP: a small endpoint of our own, and the sound over RTP."""
