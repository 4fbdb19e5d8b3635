// A folder nobody gave a level.
