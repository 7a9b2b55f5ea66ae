"""Unity Catalog, `/api/2.1/unity-catalog`: securables, rights on them, and credentials handed out for their storage."""
