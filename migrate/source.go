package migrate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// Script is one direction of a migration.
type Script struct {
	File       string
	Statements []Statement
	// NoTransaction says that the statements run by themselves: what fails
	// halfway stays halfway.
	NoTransaction bool
}

// Migration is one step of a schema.
type Migration struct {
	Version int64
	Name    string
	Up      Script
	// Down is nil where the migration cannot be undone.
	Down *Script
	// Hash is that of the normalised statements of Up.
	Hash string
}

// Source is a folder of migrations, sorted by version.
type Source struct {
	Dir        string
	Migrations []Migration
}

// Latest is the highest version, 0 where there is none.
func (s *Source) Latest() int64 {
	if len(s.Migrations) == 0 {
		return 0
	}
	return s.Migrations[len(s.Migrations)-1].Version
}

// Hash is that of all migrations, in their order.
func (s *Source) Hash() string {
	h := sha256.New()
	for _, m := range s.Migrations {
		fmt.Fprintf(h, "%d %s\n", m.Version, m.Hash)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func (s *Source) find(version int64) *Migration {
	i, ok := slices.BinarySearchFunc(s.Migrations, version, func(m Migration, v int64) int { return cmp.Compare(m.Version, v) })
	if !ok {
		return nil
	}
	return &s.Migrations[i]
}

// LoadDir reads a folder of this machine.
func LoadDir(dir string) (*Source, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fault.New(fault.NotFound, "there is no folder of migrations %s", dir).
			WithHint("`dir` is relative to the folder of the application file; `wfctl migrations create NAME` makes a first one")
	}
	return Load(os.DirFS(dir), dir)
}

// Load reads migrations; dir is how errors name the folder. All mistakes are
// reported at once.
func Load(fsys fs.FS, dir string) (*Source, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the migrations in %s", dir)
	}
	l := &loader{fsys: fsys, dir: dir, found: map[int64]*Migration{}}
	for _, e := range entries {
		if !e.IsDir() {
			l.file(e.Name())
		}
	}
	return l.source()
}

type loader struct {
	fsys   fs.FS
	dir    string
	found  map[int64]*Migration
	faults fault.List
}

var (
	pairName  = lazyregexp.New(`^(\d+)_(.*)\.(up|down)\.sql$`)
	gooseName = lazyregexp.New(`^(\d+)_(.*)\.sql$`)
	goName    = lazyregexp.New(`^\d+_.*\.go$`)
)

func (l *loader) position(name string) fault.Position {
	return fault.Position{File: filepath.Join(l.dir, filepath.FromSlash(name))}
}

func (l *loader) fail(pos fault.Position, hint, format string, args ...any) {
	l.faults = append(l.faults, fault.New(fault.Config, format, args...).At(pos).WithHint("%s", hint))
}

// file reads one file of the folder.
func (l *loader) file(name string) {
	var m []string
	direction := ""
	if m = pairName().FindStringSubmatch(name); m != nil {
		direction = m[3]
	} else if m = gooseName().FindStringSubmatch(name); m == nil {
		l.other(name)
		return
	}
	version, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || version == 0 {
		l.fail(l.position(name), "a version is a number from 1 to 9223372036854775807", "%q is not a version", m[1])
		return
	}
	raw, err := fs.ReadFile(l.fsys, path.Clean(name))
	if err != nil {
		l.fail(l.position(name), "is it readable?", "cannot be read: %v", err)
		return
	}
	if direction == "" {
		l.goose(name, version, m[2], string(raw))
		return
	}
	l.pair(name, version, m[2], direction, string(raw))
}

// other complains of files that somebody may take for migrations.
func (l *loader) other(name string) {
	switch {
	case strings.HasSuffix(name, ".sql"):
		l.fail(l.position(name), "call it NNN_name.sql, or NNN_name.up.sql and NNN_name.down.sql", "the name has no version")
	case goName().MatchString(name) && !strings.HasSuffix(name, "_test.go"):
		l.fail(l.position(name), "write it in SQL, or run it with goose itself", "a migration in Go cannot be run")
	}
}

// add registers a migration, once for each version.
func (l *loader) add(name string, version int64, title string) *Migration {
	if old, ok := l.found[version]; ok {
		l.fail(l.position(name), "give one of them another version", "version %d is taken by %s", version, cmp.Or(old.Up.File, "another file"))
		return nil
	}
	m := &Migration{Version: version, Name: title}
	l.found[version] = m
	return m
}

// pair reads one of golang-migrate's two files.
func (l *loader) pair(name string, version int64, title, direction, text string) {
	m := l.found[version]
	fits := m != nil && m.Name == title && (direction == "up" && m.Up.File == "" || direction == "down" && m.Up.File != "" && m.Down == nil)
	if !fits {
		if m = l.add(name, version, title); m == nil {
			return
		}
	}
	statements, ok := l.split(name, text, 1)
	if !ok {
		return
	}
	s := Script{File: name, Statements: statements, NoTransaction: slices.ContainsFunc(statements, standsAlone)}
	if direction == "up" {
		m.Up = s
		return
	}
	m.Down = &s
}

var alone = lazyregexp.New(`(?i)^(VACUUM|BEGIN|START TRANSACTION|CREATE DATABASE|DROP DATABASE|CREATE TABLESPACE|ALTER SYSTEM|(CREATE|DROP)( UNIQUE)? INDEX CONCURRENTLY|REINDEX.* CONCURRENTLY|REFRESH MATERIALIZED VIEW CONCURRENTLY)\b`)

// standsAlone tells whether a database refuses a statement in a transaction,
// or the file has its own.
func standsAlone(s Statement) bool { return alone().MatchString(normalise(s.SQL)) }

func (l *loader) split(name, text string, line int) ([]Statement, bool) {
	statements, err := split(text, line)
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		pos := l.position(name)
		pos.Line, pos.Column = syntax.line, syntax.column
		l.fail(pos, "close it, or put the statement between `-- +goose StatementBegin` and `-- +goose StatementEnd`", "%s", syntax.message)
		return nil, false
	}
	return statements, true
}

// source finishes the folder.
func (l *loader) source() (*Source, error) {
	s := &Source{Dir: l.dir}
	for _, m := range l.found {
		if m.Up.File == "" && m.Down != nil {
			l.fail(l.position(m.Down.File), "add the .up.sql file", "version %d can be undone and not done", m.Version)
			continue
		}
		m.Hash = hashScript(m.Up)
		m.Up = unwrapped(m.Up)
		if m.Down != nil {
			*m.Down = unwrapped(*m.Down)
		}
		s.Migrations = append(s.Migrations, *m)
	}
	slices.SortFunc(s.Migrations, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	return s, l.faults.Err()
}

// partPrefix marks the hash of a part that is done, where the whole is not.
const partPrefix = "part-sha256:"

// part is the hash of the first statements, which are done: the rest may be
// mended.
func (s *Script) part(done int) string {
	h := sha256.New()
	for _, st := range s.Statements[:done] {
		fmt.Fprintf(h, "%s\x00", normalise(st.SQL))
	}
	return partPrefix + hex.EncodeToString(h.Sum(nil))
}

// hashScript ignores comments, white space and the file's name, which change
// nothing.
func hashScript(s Script) string {
	h := sha256.New()
	for _, st := range s.Statements {
		fmt.Fprintf(h, "%s\x00", normalise(st.SQL))
	}
	fmt.Fprintf(h, "%t", s.NoTransaction)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
