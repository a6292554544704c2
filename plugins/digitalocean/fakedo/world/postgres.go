package world

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// startTime is how long a server or a component may take to answer.
const startTime = 60 * time.Second

// postgres is the folder of its programs.
type postgres struct{ bin string }

func findPostgres() (postgres, error) {
	var places []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		places = append(places, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return postgres{}, err
		}
		slices.Reverse(found) // the newest first
		places = append(places, found...)
	}
	for _, dir := range places {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return postgres{dir}, nil
		}
	}
	return postgres{}, errors.New("there is no PostgreSQL server on this machine: install one (Debian: apt-get install postgresql; or make services)")
}

// cluster is one running server.
type cluster struct {
	dir     string
	process *process
	admin   string // the URL of its owner
}

// Supports implements fakedo.World.
func (w *World) Supports(engine string) bool { return engine == "pg" }

// owner is the role that the world itself uses; the account does not see it.
const owner = "fakedo_world"

// StartDatabase implements fakedo.World.
func (w *World) StartDatabase(id string, first fakedo.Credential, database string) (string, int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &cluster{dir: filepath.Join(w.dir, "db-"+id)}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return "", 0, err
	}
	if err := giveToServer(c.dir); err != nil {
		return "", 0, err
	}
	port, err := w.start(c)
	if err == nil {
		err = c.exec("", fmt.Sprintf("CREATE ROLE %s LOGIN CREATEDB CREATEROLE PASSWORD %s", name(first.Name), text(first.Password)))
	}
	if err == nil && database != "" {
		err = c.exec("", fmt.Sprintf("CREATE DATABASE %s OWNER %s", name(database), name(first.Name)))
	}
	if err != nil {
		c.stop()
		return "", 0, fmt.Errorf("start a PostgreSQL server: %w", err)
	}
	w.databases[id] = c
	return "127.0.0.1", port, nil
}

// start makes and starts the server.
func (w *World) start(c *cluster) (int, error) {
	data := filepath.Join(c.dir, "data")
	initdb := exec.Command(filepath.Join(w.postgres.bin, "initdb"), "-D", data, "-A", "scram-sha-256", "-U", owner, "--pwfile", filepath.Join(c.dir, "password"), "--no-sync") //nolint:gosec // a program of this machine
	password := rand.Text()
	if err := give(filepath.Join(c.dir, "password"), []byte(password)); err != nil {
		return 0, err
	}
	asServer(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := certify(data); err != nil {
		return 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(filepath.Join(w.postgres.bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-k", c.dir, //nolint:gosec // a program of this machine
		"-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "fsync=off", "-c", "max_connections=40", "-c", "shared_buffers=16MB")
	asServer(cmd)
	if c.process, err = startProcess(cmd); err != nil {
		return 0, err
	}
	c.admin = fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=require", owner, password, port)
	return port, c.process.wait(func() bool { return c.exec("", "SELECT 1") == nil })
}

// certify gives a server a certificate, as clients ask for TLS.
func certify(data string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().AddDate(1, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		give(filepath.Join(data, "server.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		give(filepath.Join(data, "server.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
}

// give writes a file of the server's own.
func give(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return giveToServer(path)
}

// exec runs a statement as the owner, in the database postgres or another.
func (c *cluster) exec(database, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	config, err := pgx.ParseConfig(c.admin)
	if err != nil {
		return err
	}
	if database != "" {
		config.Database = database
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost
	_, err = conn.Exec(ctx, statement)
	return err
}

func (c *cluster) stop() {
	if c.process != nil {
		c.process.stop()
	}
	// What cannot be removed goes with the folder of the world.
	_ = os.RemoveAll(c.dir)
}

func name(s string) string { return pgx.Identifier{s}.Sanitize() }

func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (w *World) on(id, statement string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.databases[id]
	if c == nil {
		return fmt.Errorf("the world has no cluster %s", id)
	}
	return c.exec("", statement)
}

// SetUser implements fakedo.World.
func (w *World) SetUser(id string, user fakedo.Credential) error {
	role := name(user.Name)
	err := w.on(id, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD %s", role, text(user.Password)))
	if err != nil && strings.Contains(err.Error(), "42710") { // there is one: a new password
		return w.on(id, fmt.Sprintf("ALTER ROLE %s PASSWORD %s", role, text(user.Password)))
	}
	return err
}

// DropUser implements fakedo.World. What the role has goes to the owner, as
// the real service does.
func (w *World) DropUser(id, user string) error {
	return errors.Join(w.on(id, fmt.Sprintf("REASSIGN OWNED BY %s TO %s", name(user), owner)), w.on(id, "DROP ROLE "+name(user)))
}

// AddDatabase implements fakedo.World.
func (w *World) AddDatabase(id, database string) error {
	// Whoever has an account at the cluster may use each of its databases.
	err := w.on(id, "CREATE DATABASE "+name(database))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.databases[id].exec(database, "GRANT ALL ON SCHEMA public TO PUBLIC")
}

// DropDatabase implements fakedo.World.
func (w *World) DropDatabase(id, database string) error {
	return w.on(id, "DROP DATABASE "+name(database)+" WITH (FORCE)")
}

// StopDatabase implements fakedo.World.
func (w *World) StopDatabase(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.databases[id]; c != nil {
		c.stop()
		delete(w.databases, id)
	}
}
