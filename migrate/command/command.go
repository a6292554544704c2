// Package command is the command line of workflow-migrate: package migrate in
// a program that is small enough for an image of its own. It is for machines:
// what happens goes to standard error as JSON lines, results to standard
// output as JSON. It knows no application file and no environment.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/migrate"
)

// Process is what the program is given.
type Process struct {
	Args           []string
	Getenv         func(string) string
	Stdout, Stderr io.Writer
	Version        string
	// Executable finds the program's own file; nil is os.Executable.
	Executable func() (string, error)
}

// Main runs a command and returns the exit status: 0 done, 1 failed, 2 refused
// or wrong usage, 3 something is pending (status --exit-code), 130 stopped.
func Main(p Process) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, p)
}

// errPending ends `status --exit-code`.
var errPending = errors.New("something is pending")

const pendingStatus = 3

func run(ctx context.Context, p Process) int {
	c := &command{Process: p}
	err := c.run(ctx)
	if errors.Is(err, errPending) {
		return pendingStatus
	}
	if err != nil {
		c.logger().failure(err)
	}
	return fault.ExitCode(err)
}

// command is one run with its flags.
type command struct {
	Process
	log *logger

	name       string
	dir, table string
	format     string
	lock, wait time.Duration
	timeout    time.Duration
	dryRun     bool
	approve    bool
	to         int64
	steps      int
	outOfOrder bool
	exitCode   bool
	strict     bool
	as         string
	dialect    string
	toIsSet    bool
	positional []string
}

// names lists the commands with what each does.
var names = []struct {
	name, does string
	run        func(*command, context.Context) error
}{
	{"up", "apply what is pending", (*command).up},
	{"down", "undo the newest migration; it may lose data, so it needs --approve", (*command).down},
	{"status", "tell what is applied and what is pending", (*command).status},
	{"validate", "check the files, and with a DATABASE_URL what was applied of them", (*command).validate},
	{"repair", "settle a migration that stopped halfway: repair VERSION --as resume|applied|pending|accepted --approve", (*command).repair},
}

func (c *command) run(ctx context.Context) error {
	if len(c.Args) == 0 {
		c.usage(c.Stderr)
		return fault.New(fault.Usage, "no command is given").WithHint("begin with `workflow-migrate status`")
	}
	switch c.name = c.Args[0]; c.name {
	case "help", "-h", "--help":
		c.usage(c.Stdout)
		return nil
	case "version", "--version":
		_, err := fmt.Fprintln(c.Stdout, "workflow-migrate "+c.Version)
		return err
	}
	for _, n := range names {
		if n.name == c.name {
			return c.start(ctx, n.run)
		}
	}
	return fault.New(fault.Usage, "there is no command %q", c.name).WithHint("there are up, down, status, validate, repair, version, help")
}

func (c *command) start(ctx context.Context, do func(*command, context.Context) error) error {
	err := c.parse()
	if errors.Is(err, flag.ErrHelp) {
		c.usage(c.Stdout)
		return nil
	}
	if err != nil {
		return err
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.timeout, fault.New(fault.Environment, "it took longer than --timeout %s", c.timeout))
		defer cancel()
	}
	return do(c, ctx)
}

func (c *command) usage(w io.Writer) {
	var b strings.Builder
	b.WriteString("workflow-migrate brings a database to the schema of a folder of migrations.\n\nCommands:\n")
	for _, n := range names {
		fmt.Fprintf(&b, "  %-9s %s\n", n.name, n.does)
	}
	b.WriteString("  version   print the version\n\nFlags (each can be given as a variable instead, with its name in capitals after MIGRATE_):\n")
	flags := c.flags()
	flags.SetOutput(&b)
	flags.PrintDefaults()
	b.WriteString(`
The database is in DATABASE_URL, or in the file that DATABASE_URL_FILE names:
postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:///FOLDER/NAME.db. Migrations
are goose's SQL files, or NNN_name.up.sql and NNN_name.down.sql.

Exit status: 0 done; 1 failed; 2 refused or wrong usage; 3 something is pending
(status --exit-code); 130 stopped.
`)
	_, _ = io.WriteString(w, b.String())
}

func (c *command) flags() *flag.FlagSet {
	f := flag.NewFlagSet("workflow-migrate "+c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.dir, "dir", inImage, "the `FOLDER` of migrations")
	f.StringVar(&c.table, "table", "", "goose's version `TABLE` (default goose_db_version)")
	f.StringVar(&c.format, "log", "json", "how events and results are written: json or text")
	f.DurationVar(&c.lock, "lock-timeout", 5*time.Minute, "how long to wait for another migrator of the same database")
	f.DurationVar(&c.wait, "wait", 30*time.Second, "how long to wait for a database that does not answer yet")
	f.DurationVar(&c.timeout, "timeout", 0, "how long everything may take (0: no limit)")
	f.BoolVar(&c.dryRun, "dry-run", false, "up, down: tell what would be done, and write nothing")
	f.BoolVar(&c.approve, "approve", false, "down, repair: go ahead")
	f.BoolVar(&c.approve, "yes", false, "the same as --approve")
	f.Int64Var(&c.to, "to", 0, "up: the last `VERSION` to apply (0: all); down: the one to go back to")
	f.IntVar(&c.steps, "steps", 1, "down: how many migrations to undo")
	f.BoolVar(&c.outOfOrder, "allow-out-of-order", false, "up: apply versions below one that is applied already")
	f.BoolVar(&c.exitCode, "exit-code", false, "status: exit 3 where anything is pending or not as it should be")
	f.BoolVar(&c.strict, "strict", false, "validate: fail on warnings too")
	f.StringVar(&c.as, "as", "", "repair: resume, applied, pending or accepted")
	f.StringVar(&c.dialect, "dialect", "", "validate without a database: postgres or sqlite (default: the rules of both)")
	return f
}

// parse reads flags and arguments in any order, and variables for flags that
// are not given.
func (c *command) parse() error {
	f := c.flags()
	given := map[string]bool{}
	for rest := c.Args[1:]; ; {
		if err := f.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return err
		} else if err != nil {
			return fault.New(fault.Usage, "%s", err).WithHint("`workflow-migrate help` lists the flags")
		}
		if rest = f.Args(); len(rest) == 0 {
			break
		}
		c.positional, rest = append(c.positional, rest[0]), rest[1:]
	}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	var wrong error
	f.VisitAll(func(g *flag.Flag) {
		variable := "MIGRATE_" + strings.ToUpper(strings.ReplaceAll(g.Name, "-", "_"))
		value := c.Getenv(variable)
		if given[g.Name] || value == "" || g.Name == "yes" || g.Name == "approve" { // consent is given by hand
			return
		}
		if err := f.Set(g.Name, value); err != nil {
			wrong = fault.New(fault.Usage, "the value %q of %s: %s", value, variable, err)
			return
		}
		given[g.Name] = true
	})
	c.toIsSet = given["to"]
	return errors.Join(wrong, c.check())
}

func (c *command) check() error {
	switch {
	case c.format != "json" && c.format != "text":
		return fault.New(fault.Usage, "--log is json or text, not %q", c.format)
	case len(c.positional) > 0 && c.name != "repair":
		return fault.New(fault.Usage, "%s takes no argument %q", c.name, c.positional[0])
	case c.dialect != "" && c.dialect != "postgres" && c.dialect != "sqlite":
		return fault.New(fault.Usage, "--dialect is postgres or sqlite, not %q", c.dialect)
	case (c.name == "down" && !c.dryRun || c.name == "repair") && !c.approve:
		return fault.New(fault.Refused, "%s may lose data, so it needs --approve", c.name).WithHint("Run with --dry-run first")
	}
	return nil
}

// url reads the database's URL: from a variable, or a file that a platform
// mounts secrets as.
func (c *command) url() (string, error) {
	if u := strings.TrimSpace(c.Getenv("DATABASE_URL")); u != "" {
		return u, nil
	}
	file := c.Getenv("DATABASE_URL_FILE")
	if file == "" {
		return "", fault.New(fault.Usage, "there is no database: neither DATABASE_URL nor DATABASE_URL_FILE is set").WithHint("set DATABASE_URL to postgres://USER:PASSWORD@HOST:PORT/NAME")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "read DATABASE_URL_FILE")
	}
	return strings.TrimSpace(string(raw)), nil
}

// migrating connects, waiting for a database that is on its way up, and runs
// do.
func (c *command) migrating(ctx context.Context, readOnly bool, do func(*migrate.Migrator) error) (err error) {
	source, err := c.source()
	if err != nil {
		return err
	}
	url, err := c.url()
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // it only names
	m, err := c.open(ctx, migrate.Options{
		URL: url, Source: source, ReadOnly: readOnly, Table: c.table, LockTimeout: c.lock, Progress: c.logger().event,
		Holder: fmt.Sprintf("workflow-migrate on %s (pid %d)", host, os.Getpid()), Command: "workflow-migrate",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return do(m)
}

func (c *command) source() (*migrate.Source, error) {
	s, err := migrate.LoadDir(c.folder())
	if fault.CodeOf(err) == fault.NotFound {
		return nil, fault.New(fault.NotFound, "there is no folder of migrations %s", c.dir).
			WithHint("in an image of your own: COPY migrations /migrations; else name it with --dir or MIGRATE_DIR")
	}
	return s, err
}

// inImage is where a user's COPY puts migrations.
const inImage = "/migrations"

// folder is the one that was named, or that of the image. Where the image's
// files are unpacked below a folder of the machine, as provider local does, it
// is beside the folder of the program.
func (c *command) folder() string {
	if c.dir != inImage {
		return c.dir
	}
	if _, err := os.Stat(inImage); err == nil {
		return inImage
	}
	executable := c.Executable
	if executable == nil {
		executable = os.Executable
	}
	program, err := executable()
	if err != nil {
		return inImage
	}
	beside := filepath.Join(filepath.Dir(program), "..", "migrations")
	if _, err := os.Stat(beside); err != nil {
		return inImage
	}
	return beside
}

func (c *command) open(ctx context.Context, o migrate.Options) (*migrate.Migrator, error) {
	until := time.Now().Add(c.wait)
	for told := false; ; told = true {
		m, err := migrate.Open(ctx, o)
		if fault.CodeOf(err) != fault.Provider || !time.Now().Before(until) {
			return m, err
		}
		if !told {
			c.logger().event(migrate.Event{Message: "the database does not answer yet; waiting: " + err.Error()})
		}
		select {
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Interrupted, context.Cause(ctx), "wait for the database")
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (c *command) print(v any, text func(io.Writer)) error {
	if c.format == "text" {
		var b strings.Builder
		text(&b)
		_, err := io.WriteString(c.Stdout, b.String())
		return err
	}
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
