package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// database is a connection pool with what differs between the two kinds.
type database struct {
	*sql.DB
	dialect goose.Dialect
	// file is the path of a SQLite database.
	file string
	// where names the database in messages, without a password.
	where  string
	secret []string
}

// connect opens a database. readOnly promises that nothing will be written.
func connect(ctx context.Context, address string, readOnly bool, notice func(string)) (*database, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	if address != "" && !schemeForm().MatchString(scheme) || strings.HasPrefix(scheme, "postgres") && !strings.HasPrefix(rest, "//") {
		// It may hold a password anywhere: nothing of it is told.
		return nil, fault.New(fault.Config, "the database's address is no URL").WithHint("write it as postgres://user:password@host:5432/name or sqlite:///folder/name.db")
	}
	var d *database
	var err error
	switch scheme {
	case "sqlite", "sqlite3", "file":
		d, err = openSQLite(address, readOnly)
	case "postgres", "postgresql":
		d, err = openPostgres(address, notice)
	case "":
		return nil, fault.New(fault.Config, "there is no database to migrate: its URL is empty").WithHint("the module that `database` names must have an output connection_url")
	default:
		if !strings.HasPrefix(rest, "//") {
			scheme = "another" // what is no URL may be a password
		}
		return nil, fault.New(fault.Config, "a database of kind %q cannot be migrated", scheme).WithHint("its URL begins with sqlite:// or postgres://")
	}
	if err != nil {
		return nil, err
	}
	if err := d.PingContext(ctx); err != nil {
		_ = d.Close()
		return nil, d.unreachable(ctx, err)
	}
	return d, nil
}

var schemeForm = lazyregexp.New(`^[a-z][a-z0-9+.-]*$`)

// unreachable explains a failed connection. What may pass by itself has the
// code of a platform that failed, so that the caller can try again.
func (d *database) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "connect to %s", d.where)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code != startingUp {
		text, _ := describe(err)
		return fault.Wrap(fault.Environment, d.clean(errors.New(text)), "%s refuses the connection", d.where).
			WithHint("are the user, the password and the name of the database right?")
	}
	code, hint := fault.Provider, "is it running, and may this machine connect to it? A managed database takes its trusted sources only: "+
		"add this machine's address, or run the migrations from within, as a job of kind pre_deploy"
	if d.file != "" {
		code, hint = fault.Environment, "is its folder there, and may this user write in it?"
	}
	return fault.Wrap(code, d.clean(err), "%s cannot be reached", d.where).WithHint("%s", hint)
}

// startingUp is what a server answers that is not ready yet.
const startingUp = "57P03"

// errAbsent is the error of a SQLite database whose file is not there yet.
var errAbsent = errors.New("the database does not exist yet")

var driveLetter = lazyregexp.New(`^/[A-Za-z]:`)

// sqlitePath takes the path out of sqlite:///abs, sqlite://rel, sqlite:rel.
func sqlitePath(address string) (path, query string, err error) {
	_, rest, _ := strings.Cut(address, ":")
	rest, query, _ = strings.Cut(strings.TrimPrefix(rest, "//"), "?")
	if path, err = url.PathUnescape(rest); err != nil || path == "" {
		return "", "", fault.New(fault.Config, "the URL of the SQLite database has no usable path").WithHint("write it as sqlite:///folder/name.db")
	}
	if driveLetter().MatchString(path) {
		path = path[1:]
	}
	return filepath.FromSlash(path), query, nil
}

func openSQLite(address string, readOnly bool) (*database, error) {
	path, query, err := sqlitePath(address)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "the URL of the SQLite database %s", path)
	}
	values.Add("_pragma", "busy_timeout(10000)")
	values.Set("_txlock", "immediate")
	if readOnly {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, errAbsent
		}
		values.Set("mode", "rw") // does not create; SQLite falls back to reading
		values.Set("_txlock", "deferred")
		values.Add("_pragma", "query_only(1)")
	}
	slashed := filepath.ToSlash(path)
	if driveLetter().MatchString("/" + slashed) {
		slashed = "/" + slashed
	}
	dsn := "file:" + (&url.URL{Path: slashed}).EscapedPath() + "?" + values.Encode()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "open the SQLite database %s", path)
	}
	return &database{DB: db, dialect: goose.DialectSQLite3, file: path, where: "the SQLite database " + path}, nil
}

// openPostgres speaks to a server without prepared statements and without any
// state of a session, so that PgBouncer may stand between in any mode.
func openPostgres(address string, notice func(string)) (*database, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// The driver's message can quote the URL.
		return nil, fault.New(fault.Config, "the URL of the Postgres database cannot be read").WithHint("write it as postgres://USER:PASSWORD@HOST:PORT/NAME; special characters of the password are percent-encoded")
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	if _, ok := config.RuntimeParams["application_name"]; !ok {
		config.RuntimeParams["application_name"] = "wfctl"
	}
	if notice != nil {
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			if n.Code != "42P07" { // "already exists, skipping", of our own tables
				notice(n.Severity + ": " + n.Message)
			}
		}
	}
	d := &database{dialect: goose.DialectPostgres, where: fmt.Sprintf("the Postgres database %q on %s", config.Database, host(config))}
	if config.Password != "" {
		d.secret = []string{config.Password, url.QueryEscape(config.Password), url.PathEscape(config.Password)}
	}
	d.DB = stdlib.OpenDB(*config)
	d.SetMaxOpenConns(4)
	return d, nil
}

func host(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host
	}
	return fmt.Sprintf("%s:%d", c.Host, c.Port)
}

// cleaned is an error whose text had a secret taken out.
type cleaned struct {
	text string
	err  error
}

// Error implements error.
func (c *cleaned) Error() string { return c.text }

// Unwrap returns the driver's error, for its code.
func (c *cleaned) Unwrap() error { return c.err }

// clean takes the password out of a driver's message.
func (d *database) clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range d.secret {
		if len(s) > 2 {
			text = strings.ReplaceAll(text, s, "***MASKED***")
		}
	}
	return &cleaned{text, err}
}

// bind writes the placeholders of a query as the database wants them.
func (d *database) bind(query string) string {
	if d.dialect != goose.DialectPostgres {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			fmt.Fprintf(&b, "$%d", n)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hasTable looks for a table in the schema that is current.
func (d *database) hasTable(ctx context.Context, name string) (bool, error) {
	query := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?`
	if d.dialect == goose.DialectPostgres {
		query = `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?`
	}
	var n int
	err := d.QueryRowContext(ctx, d.bind(query), name).Scan(&n)
	return n > 0, err
}

// describe explains an error of a statement: the database's own words, and
// how far into the statement it points (0: nowhere).
func describe(err error) (text string, offset int) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		text = pg.Message + " (SQLSTATE " + pg.Code + ")"
		if pg.Detail != "" {
			text += "; " + pg.Detail
		}
		if pg.Hint != "" {
			text += "; " + pg.Hint
		}
		return text, int(pg.Position)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return strings.TrimPrefix(lite.Error(), "SQL logic error: "), 0
	}
	return err.Error(), 0
}
