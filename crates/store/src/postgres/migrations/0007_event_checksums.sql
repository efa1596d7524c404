-- The CRC-32 of the columns that readers get. The events of earlier versions have none.
ALTER TABLE events ADD COLUMN checksum bigint
