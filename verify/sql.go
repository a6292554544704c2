package verify

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "modernc.org/sqlite" // the driver "sqlite" of database/sql
)

// sqlProbe connects to a database and asks it for 1.
type sqlProbe struct{ url string }

func (p sqlProbe) probe(ctx context.Context) Sample {
	began := time.Now()
	var err error
	s := Sample{}
	if path, ok := sqlitePath(p.url); ok {
		err = pingSQLite(ctx, path)
	} else {
		s.Remote, err = pingPostgres(ctx, p.url)
	}
	s.Timing.Connect = time.Since(began)
	if s.OK = err == nil; !s.OK {
		failed := failedSample(err)
		failed.Reason = sqlReason(err)
		failed.Timing, failed.Remote = s.Timing, s.Remote
		return failed
	}
	return s
}

func sqlitePath(raw string) (string, bool) {
	for _, scheme := range []string{"sqlite://", "sqlite:", "file:"} {
		if path, ok := strings.CutPrefix(raw, scheme); ok {
			path, _, _ = strings.Cut(path, "?")
			return path, true
		}
	}
	return "", false
}

func pingSQLite(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil { // opening would make it
		return err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it was only read
	var tables int
	return db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
}

func pingPostgres(ctx context.Context, raw string) (string, error) {
	conn, err := pgx.Connect(ctx, raw)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only asked
	var one int
	return conn.PgConn().Conn().RemoteAddr().String(), conn.QueryRow(ctx, "SELECT 1").Scan(&one)
}

// sqlReason says what is wrong without the URL, which may hold a password.
func sqlReason(err error) string {
	var server *pgconn.PgError
	var config *pgconn.ParseConfigError
	switch {
	case errors.As(err, &server):
		return "the database says: " + server.Message
	case errors.As(err, &config):
		return "its sql is not a database URL: postgres://… or sqlite:FILE"
	case errors.Is(err, os.ErrNotExist):
		return "there is no such database file"
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return "the database cannot be reached: " + text
}
