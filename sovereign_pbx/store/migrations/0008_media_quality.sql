-- What the network made of the call's sound, of its worst link (JSON). NULL: no link could know.
ALTER TABLE calls ADD COLUMN media_quality TEXT;
