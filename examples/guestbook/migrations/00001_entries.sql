-- +goose Up
CREATE TABLE entries (
    id      TEXT PRIMARY KEY,
    author  TEXT NOT NULL,
    message TEXT NOT NULL,
    written TEXT NOT NULL
);

-- +goose Down
DROP TABLE entries;
