package cli_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
	"github.com/gocodealone/wfctl/internal/fakecloud"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"wfctl": func() { os.Exit(cli.Main(builtin.Kinds(), os.Args[1:])) },
		"cloud": func() {
			if err := fakecloud.Tool(os.Stdout, os.Args[1:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		},
		"sqlite-damage": func() {
			sqliteDo("UPDATE entry SET data = 'no entry' WHERE id IN (SELECT id FROM entry ORDER BY id LIMIT 1 OFFSET 3)")
		},
		"sqlite-version": func() { sqliteDo("PRAGMA user_version = 99") },
	})
}

// sqliteDo changes a state behind wfctl's back.
func sqliteDo(statement string) {
	db, err := sql.Open("sqlite", os.Args[1])
	if err == nil {
		_, err = db.ExecContext(context.Background(), statement)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestScripts runs the real binary through what a user would type.
func TestScripts(t *testing.T) {
	made := &programs{t: t, dir: t.TempDir(), done: map[string][]byte{}}
	github := &githubs{t: t, running: map[string]*scriptGitHub{}}
	registries := &scriptRegistries{t: t, running: map[string]*scriptRegistry{}}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:               isolate,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "nosecret": noSecret, "signkey": signKey, "publish": made.publish, "flip": flip,
			"registrystart": registries.start, "registryhas": registries.has, "registryreceived": registries.received, "registryfails": registries.fails,
			"githubstart": github.start, "githubhas": github.has, "githubwrote": github.wrote, "githubfails": github.fails, "githuboverwrite": github.overwrite,
		},
	})
}

// isolate gives a script its own home, and Go's own caches so that it builds.
func isolate(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	env.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	env.Setenv("NO_COLOR", "1")
	env.Setenv("GOOS", runtime.GOOS)
	env.Setenv("GOARCH", runtime.GOARCH)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		if v := goEnv(name); v != "" {
			env.Setenv(name, v)
		}
	}
	return nil
}

// exits runs wfctl and checks its status: exits 2 wfctl …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != want {
		ts.Fatalf("%s: exit status %s, want %s", strings.Join(args[1:], " "), got, want)
	}
}

// noSecret fails when a string is in any file below a folder.
func noSecret(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: nosecret STRING FOLDER")
	}
	err := filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(raw), args[0]) {
			ts.Fatalf("%s holds the secret", path)
		}
		return err
	})
	ts.Check(err)
}
