package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// databaseConfig is a database as it runs on this machine.
type databaseConfig struct {
	infra.Database
	Port int `json:"port,omitempty" min:"1" max:"65535" doc:"listen on this loopback port, with a password, beside the private socket"`
}

// stored is what is kept of a database. The password has a file of its own.
type stored struct {
	Engine string `json:"engine"`
	Name   string `json:"name"`
	Port   int    `json:"port,omitempty"`
	User   string `json:"user,omitempty"`
	// Data and Socket are Postgres's folders.
	Data   string `json:"data,omitempty"`
	Socket string `json:"socket,omitempty"`
}

func (p *provider) databases() kind {
	ignored := map[string]string{
		"region": onOneMachine, "size": "it grows as it needs", "version": "it is the one that is installed", "node_count": "there is one", "storage_gib": "it has the size of the disk",
		"vpc_ref": onOneMachine, "trusted_sources": "only this user reaches it", "maintenance": "nothing is maintained", "users": "there is one",
	}
	return &typed[databaseConfig]{
		name: infra.TypeDatabase, dir: "databases", description: "SQLite in a file, or a Postgres server of one's own on a private socket.",
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("engine", "string", "sqlite or postgres"), output("name", "string", "of the database"),
			{Name: "host", Type: "string", Description: "the socket's folder or 127.0.0.1; empty for SQLite"}, {Name: "port", Type: "integer", Description: "0 for SQLite"},
			{Name: "user", Type: "string", Description: "empty for SQLite"}, {Name: "connection_url", Type: "string", Sensitive: true, Stable: true, Description: "sqlite:///… or postgres://…"},
		},
		ignored: ignored, slow: 300, validate: checkDatabase, make: p.makeDatabase, find: p.findDatabase, report: p.reportDatabase, clear: p.clearDatabase,
	}
}

func checkDatabase(_ sdk.Config, c databaseConfig) []sdk.Diagnostic {
	switch c.Engine {
	case "sqlite":
		if c.Port != 0 {
			return []sdk.Diagnostic{wrong("/port", "take it away", "a SQLite file listens on no port")}
		}
	case "postgres", "pg":
	default:
		return []sdk.Diagnostic{wrong("/engine", "use sqlite or postgres in this environment", "provider local has no %s", c.Engine)}
	}
	return nil
}

func (p *provider) makeDatabase(ctx context.Context, j *job, c databaseConfig) error {
	if c.Engine == "sqlite" {
		if err := makeSQLite(ctx, j.thing.path("data.db")); err != nil {
			return err
		}
		return j.thing.keep(stored{Engine: "sqlite", Name: j.thing.Name})
	}
	return p.makePostgres(ctx, j, c)
}

// makeSQLite makes an empty database in WAL mode, so that readers and a
// writer do not wait for each other.
func makeSQLite(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA journal_mode = wal")
	return errors.Join(err, db.Close())
}

func (p *provider) findDatabase(ctx context.Context, t *thing) (condition, error) {
	d := detail[stored](t)
	if d.Engine == "sqlite" {
		if !exists(t.path("data.db")) {
			return condition{gone: true}, nil
		}
		return well, nil
	}
	if !exists(filepath.Join(d.Data, "PG_VERSION")) {
		return condition{gone: true}, nil
	}
	_, c, err := p.serviceStatus(ctx, t.ID)
	return c, err
}

func (p *provider) reportDatabase(_ context.Context, t *thing) (sdk.Outputs, error) {
	d := detail[stored](t)
	out := sdk.Outputs{"id": sdk.Out(t.ID), "engine": sdk.Out(d.Engine), "name": sdk.Out(d.Name), "host": sdk.Out(""), "port": sdk.Out(d.Port), "user": sdk.Out(d.User)}
	if d.Engine == "sqlite" {
		u := url.URL{Scheme: "sqlite", Path: filepath.ToSlash(t.path("data.db"))}
		out["connection_url"] = sdk.SecretOut(u.String())
		return out, nil
	}
	u := url.URL{Scheme: "postgres", Path: "/" + d.Name}
	if d.Port == 0 {
		u.RawQuery = url.Values{"host": {d.Socket}, "user": {d.User}}.Encode()
		out["host"] = sdk.Out(d.Socket)
	} else {
		password, err := os.ReadFile(t.path("password"))
		if err != nil {
			return nil, err
		}
		u.User, u.Host = url.UserPassword(d.User, strings.TrimSpace(string(password))), fmt.Sprintf("127.0.0.1:%d", d.Port)
		u.RawQuery = "sslmode=disable"
		out["host"] = sdk.Out("127.0.0.1")
	}
	out["connection_url"] = sdk.SecretOut(u.String())
	return out, nil
}

func (p *provider) clearDatabase(ctx context.Context, t *thing) error {
	d := detail[stored](t)
	if d.Engine == "sqlite" {
		return nil
	}
	if err := p.down(ctx, t.ID); err != nil {
		return err
	}
	for _, dir := range []string{d.Data, d.Socket} {
		if dir != "" && strings.Contains(dir, "wfctl") {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			_ = os.Remove(filepath.Dir(dir)) // when it was the last there
		}
	}
	return nil
}

// postgresBin finds the folder of initdb and postgres, which Debian keeps
// outside PATH.
func (p *provider) postgresBin(ctx context.Context) (string, error) {
	var candidates []string
	if config, err := p.opts.LookPath("pg_config"); err == nil {
		if out, err := exec.CommandContext(ctx, config, "--bindir").Output(); err == nil {
			candidates = append(candidates, strings.TrimSpace(string(out)))
		}
	}
	if initdb, err := p.opts.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			candidates = append(candidates, filepath.Dir(real))
		}
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(installed, func(a, b string) int { return majorOf(b) - majorOf(a) })
	for _, dir := range append(candidates, installed...) {
		if exists(filepath.Join(dir, "initdb")) && exists(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", &sdk.Error{Code: sdk.CodeUnsupported, Path: "/engine", Message: "Postgres is not installed on this machine", Hint: "install it (Debian: apt-get install postgresql), or use engine: sqlite in this environment"}
}

func majorOf(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

// owner is whom Postgres runs as: this user, or, since it refuses root, the
// user postgres or nobody.
func owner() (*supervisor.User, error) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &supervisor.User{UID: uint32(uid), GID: uint32(gid)}, nil
		}
	}
	return nil, sdk.Errorf(sdk.CodeUnsupported, "Postgres does not run as root, and this machine has neither a user postgres nor nobody")
}

// dataDir is where the files go: the resource's folder, or, for another user
// who cannot reach that, a folder of the machine's.
func (p *provider) dataDir(t *thing, as *supervisor.User) string {
	if as == nil {
		return t.path("pgdata")
	}
	return filepath.Join(p.opts.SharedDir, "wfctl-postgres-"+shortHash(t.dir))
}

// socketDir is a short path that the server's user can reach: a socket's has
// at most 107 characters, and the supervisor's folder is its own user's alone.
func (p *provider) socketDir(t *thing, as *supervisor.User) string {
	if as == nil {
		return filepath.Join(p.opts.RuntimeDir, "pg-"+shortHash(t.dir))
	}
	return filepath.Join(p.opts.SharedDir, "wfctl-socket-"+shortHash(t.dir))
}

func (p *provider) makePostgres(ctx context.Context, j *job, c databaseConfig) error {
	bin, err := p.postgresBin(ctx)
	if err != nil {
		return err
	}
	as, err := owner()
	if err != nil {
		return err
	}
	name := "app"
	if len(c.Databases) > 0 {
		name = c.Databases[0]
	}
	d := stored{Engine: "postgres", Name: name, Port: c.Port, User: "app", Data: p.dataDir(j.thing, as), Socket: p.socketDir(j.thing, as)}
	if err := j.thing.keep(d); err != nil {
		return err
	}
	if err := p.initPostgres(ctx, j, bin, d, as); err != nil {
		return err
	}
	if err := p.endOrphans(ctx, j.thing, d); err != nil {
		return err
	}
	if err := p.portIsFree(ctx, j.thing, d); err != nil {
		return err
	}
	if _, err := p.up(ctx, j, postgresSpec(j.thing.ID, bin, d, as)); err != nil {
		return err
	}
	if err := whenAnswering(ctx, d); err != nil {
		return err
	}
	return p.createDatabases(ctx, j, bin, d, c, as)
}

// endOrphans waits until what a killed supervisor has left behind is gone: a
// server that is still shutting down holds its files.
func (p *provider) endOrphans(ctx context.Context, t *thing, d stored) error {
	st, _, err := p.serviceStatus(ctx, t.ID)
	if err != nil || len(st.Instances) > 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for holdsFiles(d.Data) {
		select {
		case <-ctx.Done():
			return nil // perhaps the number is another process's by now: Postgres itself decides
		case <-ticker.C:
		}
	}
	return nil
}

// holdsFiles tells whether the server that postmaster.pid names is alive.
func holdsFiles(data string) bool {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return false
	}
	_, err = supervisor.Identify(pid)
	return err == nil
}

// portIsFree says who holds the port before a server fails over it. One that
// runs already holds its own.
func (p *provider) portIsFree(ctx context.Context, t *thing, d stored) error {
	if d.Port == 0 {
		return nil
	}
	st, _, err := p.serviceStatus(ctx, t.ID)
	if err != nil || len(st.Instances) > 0 {
		return err
	}
	return supervisor.CheckPort(d.Port)
}

// initPostgres makes the cluster, once. Everybody who reaches the private
// socket is its owner; a port asks for a password.
func (p *provider) initPostgres(ctx context.Context, j *job, bin string, d stored, as *supervisor.User) error {
	for _, dir := range []string{d.Data, d.Socket} {
		if err := privateDir(dir, as); err != nil {
			return err
		}
	}
	if err := writePassword(j.thing.path("password"), d.Port != 0); err != nil {
		return err
	}
	if exists(filepath.Join(d.Data, "PG_VERSION")) {
		return nil
	}
	j.progress("initdb")
	return p.runJob(ctx, j, supervisor.Spec{
		Name: j.thing.ID + "/initdb", User: as, Dir: d.Data, Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"},
		Command: []string{filepath.Join(bin, "initdb"), "--pgdata", d.Data, "--username", d.User, "--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"},
	})
}

// privateDir makes a folder that only the owner enters.
func privateDir(dir string, as *supervisor.User) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if as != nil {
		// The other user must be able to pass through the parent.
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if as != nil {
		return os.Chown(dir, int(as.UID), int(as.GID))
	}
	return nil
}

// writePassword makes the one file that holds the password, where a port asks
// for one.
func writePassword(path string, wanted bool) error {
	if !wanted {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if exists(path) {
		return nil
	}
	return writeFile(path, []byte(rand.Text()+"\n"), 0o600)
}

func postgresSpec(id, bin string, d stored, as *supervisor.User) supervisor.Spec {
	listen, port := "", "5432"
	if d.Port != 0 {
		listen, port = "127.0.0.1", strconv.Itoa(d.Port)
	}
	return supervisor.Spec{
		Name: id, User: as, Recreate: true, StopSignal: "SIGINT", OrphanSignal: "SIGINT", Dir: d.Data, Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"},
		Command: []string{filepath.Join(bin, "postgres"), "-D", d.Data, "-k", d.Socket, "-c", "listen_addresses=" + listen, "-c", "port=" + port},
		Ready:   supervisor.Probe{Unix: filepath.Join(d.Socket, ".s.PGSQL."+port)},
	}
}

// startPatience bounds how long a server may recover before it answers.
const startPatience = time.Minute

// whenAnswering waits for a server that listens already and is still
// recovering from an end without a shutdown.
func whenAnswering(ctx context.Context, d stored) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	port := 5432
	if d.Port != 0 {
		port = d.Port
	}
	u := url.URL{Scheme: "postgres", Path: "/postgres", RawQuery: url.Values{"host": {d.Socket}, "port": {strconv.Itoa(port)}, "user": {d.User}}.Encode()}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, u.String())
		if err == nil {
			return conn.Close(ctx)
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "57P03" { // cannot_connect_now
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// createDatabases makes the databases that the file names and sets the
// password, over standard input.
func (p *provider) createDatabases(ctx context.Context, j *job, bin string, d stored, c databaseConfig, as *supervisor.User) error {
	var script strings.Builder
	var secrets []string
	names := slices.Concat([]string{d.Name}, c.Databases)
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		fmt.Fprintf(&script, "SELECT format('CREATE DATABASE %%I', %s) WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = %s) \\gexec\n", literal(n), literal(n))
	}
	if d.Port != 0 {
		password, err := os.ReadFile(j.thing.path("password"))
		if err != nil {
			return err
		}
		secrets = []string{strings.TrimSpace(string(password))}
		fmt.Fprintf(&script, "ALTER ROLE app PASSWORD %s;\n", literal(strings.TrimSpace(string(password))))
	}
	port := "5432"
	if d.Port != 0 {
		port = strconv.Itoa(d.Port)
	}
	return p.runJob(ctx, j, supervisor.Spec{
		Name: j.thing.ID + "/setup", User: as, Dir: d.Socket, Stdin: []byte(script.String()), Env: []string{"PATH=/usr/bin:/bin"}, Secrets: secrets,
		Command: []string{filepath.Join(bin, "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "-h", d.Socket, "-p", port, "-U", d.User, "-d", "postgres"},
	})
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// shortHash tells folders apart in names that must be short.
func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}
