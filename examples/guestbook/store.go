// Package guestbook keeps the entries of a guestbook in SQLite or Postgres and
// serves them as a page and as JSON.
package guestbook

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Entry is what a guest wrote.
type Entry struct {
	ID      string    `json:"id"`
	Author  string    `json:"author"`
	Message string    `json:"message"`
	Written time.Time `json:"written"`
}

// Store keeps entries. It is safe for concurrent use.
type Store struct {
	db    *sql.DB
	place func(n int) string // how the database writes its n-th parameter
}

// Open connects to the database of a URL: sqlite:///path or postgres://….
func Open(address string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL is no URL") // without the text: it may hold a password
	}
	switch u.Scheme {
	case "sqlite":
		dsn := "file:" + (&url.URL{Path: u.Path}).EscapedPath() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)"
		db, err := sql.Open("sqlite", dsn)
		return &Store{db, func(int) string { return "?" }}, err
	case "postgres", "postgresql":
		db, err := sql.Open("pgx", address)
		return &Store{db, func(n int) string { return fmt.Sprintf("$%d", n) }}, err
	}
	return nil, fmt.Errorf("DATABASE_URL has the scheme %q; it must be sqlite or postgres", u.Scheme)
}

// Ping tells whether the database answers and has its table.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	return s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM entries WHERE id = ''").Scan(&n)
}

// Add writes an entry and returns it with its identifier and time.
func (s *Store) Add(ctx context.Context, author, message string) (Entry, error) {
	e := Entry{ID: strings.ToLower(rand.Text()), Author: author, Message: message, Written: time.Now().UTC().Truncate(time.Millisecond)}
	insert := fmt.Sprintf("INSERT INTO entries (id, author, message, written) VALUES (%s, %s, %s, %s)", s.place(1), s.place(2), s.place(3), s.place(4))
	_, err := s.db.ExecContext(ctx, insert, e.ID, e.Author, e.Message, e.Written.Format(time.RFC3339Nano))
	return e, err
}

// List returns the newest entries first, at most limit.
func (s *Store) List(ctx context.Context, limit int) ([]Entry, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, author, message, written FROM entries ORDER BY written DESC LIMIT "+s.place(1), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	entries := []Entry{}
	for rows.Next() {
		var e Entry
		var written string
		if err := rows.Scan(&e.ID, &e.Author, &e.Message, &written); err != nil {
			return nil, err
		}
		if e.Written, err = time.Parse(time.RFC3339Nano, written); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// Close ends the connections.
func (s *Store) Close() error { return s.db.Close() }
