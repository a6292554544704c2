-- +goose Up
CREATE INDEX entries_written ON entries (written);

-- +goose Down
DROP INDEX entries_written;
