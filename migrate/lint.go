package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// Dialect is a kind of database that rules differ for.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// DialectOf tells the dialect of a URL, "" where it cannot.
func DialectOf(address string) Dialect {
	switch scheme, _, _ := strings.Cut(address, ":"); scheme {
	case "sqlite", "sqlite3", "file":
		return SQLite
	case "postgres", "postgresql":
		return Postgres
	}
	return ""
}

// Finding is something that a reviewer should look at.
type Finding struct {
	Rule      string         `json:"rule"`
	Version   int64          `json:"version"`
	Statement int            `json:"statement"`
	Pos       fault.Position `json:"position"`
	Message   string         `json:"message"`
	Hint      string         `json:"hint"`
	// Certain findings are errors: the migration cannot work.
	Certain bool `json:"certain,omitempty"`
}

// lintRule looks at one statement, written in capitals without comments and
// with its quoted text blanked.
type lintRule struct {
	name, message, hint string
	dialect             Dialect // "" is any
	match               *regexp.Regexp
	unless              *regexp.Regexp
	certain             bool
	// inTransaction: it holds only in a script that runs in a transaction.
	inTransaction bool
}

// What begins or ends a transaction, and what only looks so.
const (
	control       = `^(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|END|ABORT)\b`
	controlUnless = `^ROLLBACK (WORK |TRANSACTION )?TO\b`
)

var (
	controlForm   = lazyregexp.New(control)
	noControlForm = lazyregexp.New(controlUnless)
	beginForm     = lazyregexp.New(`^(BEGIN( WORK| TRANSACTION)?|START TRANSACTION)$`)
	commitForm    = lazyregexp.New(`^(COMMIT|END)( WORK| TRANSACTION)?$`)
)

// controls tells whether a statement begins or ends a transaction.
func controls(s Statement) bool {
	sql := plainSQL(s.SQL)
	return controlForm().MatchString(sql) && !noControlForm().MatchString(sql)
}

// unwrapped is a script without the BEGIN and COMMIT that are all around it:
// they say how it runs anyway, in one transaction.
func unwrapped(s Script) Script {
	n := len(s.Statements)
	if n < 2 || !beginForm().MatchString(plainSQL(s.Statements[0].SQL)) || !commitForm().MatchString(plainSQL(s.Statements[n-1].SQL)) {
		return s
	}
	within := s.Statements[1 : n-1]
	if slices.ContainsFunc(within, controls) || slices.ContainsFunc(within, standsAlone) {
		return s
	}
	s.Statements, s.NoTransaction = within, false
	return s
}

// lintRules are compiled for each check and not kept: it is not often.
func lintRules() []lintRule {
	re := regexp.MustCompile
	return []lintRule{
		{name: "destructive", match: re(`^(DROP (TABLE|SCHEMA|DATABASE|VIEW|MATERIALIZED VIEW|TYPE|SEQUENCE|COLUMN)|TRUNCATE)\b`),
			message: "it destroys data or what holds it", hint: "is there a backup, and does no running version use it?"},
		{name: "destructive", match: re(`^ALTER TABLE\b.* DROP (COLUMN )?(IF EXISTS )?[^ ]+`), unless: re(` DROP (CONSTRAINT|DEFAULT|NOT NULL|IDENTITY|EXPRESSION)\b`),
			message: "it drops a column", hint: "drop it in a later release than the one that stops using it"},
		{name: "destructive", match: re(`^DELETE FROM\b`), unless: re(`\bWHERE\b`),
			message: "it deletes every row", hint: "add a WHERE, or say TRUNCATE if that is meant"},
		{name: "rename", match: re(`^ALTER TABLE\b.* RENAME\b`),
			message: "it renames what the running version uses", hint: "add the new name, use both, and drop the old one later"},
		{name: "rewrite", dialect: Postgres, match: re(`^ALTER TABLE\b.* ALTER (COLUMN )?[^ ]+ (SET DATA )?TYPE\b`),
			message: "it can rewrite the table under an exclusive lock", hint: "add a column of the new type, fill it in batches, and swap them"},
		{name: "index-concurrently", dialect: Postgres, match: re(`^CREATE (UNIQUE )?INDEX\b`), unless: re(`\bCONCURRENTLY\b`),
			message: "it builds an index while nobody can write to the table", hint: "write CREATE INDEX CONCURRENTLY, in a file of its own with `-- +goose NO TRANSACTION`"},
		{name: "concurrently-in-transaction", dialect: Postgres, match: re(`\bCONCURRENTLY\b`), inTransaction: true, certain: true,
			message: "CONCURRENTLY cannot run in a transaction", hint: "add `-- +goose NO TRANSACTION` to the file"},
		{name: "transaction-control", match: re(control), unless: re(controlUnless), inTransaction: true, certain: true,
			message: "it controls the transaction that the migration runs in", hint: "leave it out: the migration has its own transaction"},
		{name: "not-null-without-default", match: re(`^ALTER TABLE\b.* ADD (COLUMN )?.*\bNOT NULL\b`), unless: re(`\b(DEFAULT|GENERATED|SERIAL|BIGSERIAL|SMALLSERIAL)\b| ADD (CONSTRAINT|CHECK)\b`),
			message: "it adds a column that is NOT NULL and has no default: it fails where there are rows", hint: "give it a DEFAULT, or fill it before SET NOT NULL"},
	}
}

var (
	lockTimeout = lazyregexp.New(`^(SET (LOCAL |SESSION )?LOCK_TIMEOUT|SELECT (PG_CATALOG\.)?SET_CONFIG\()`)
	takesLock   = lazyregexp.New(`^(ALTER TABLE|CREATE (UNIQUE )?INDEX|DROP (TABLE|INDEX)|CREATE TRIGGER|REINDEX|VACUUM FULL|CLUSTER|LOCK TABLE)\b`)
	makesTable  = lazyregexp.New(`^CREATE (?:TEMP |TEMPORARY |UNLOGGED )?TABLE (?:IF NOT EXISTS )?([^ (]+)`)
	ofTable     = lazyregexp.New(`^(?:ALTER TABLE (?:IF EXISTS )?(?:ONLY )?([^ ]+)|CREATE (?:UNIQUE )?INDEX .*?\bON (?:ONLY )?([^ (]+)|DROP TABLE (?:IF EXISTS )?([^ ;,]+))`)
)

// Lint warns of what goes wrong on a database in use. A table that the same
// migration makes is nobody's yet, and not warned of.
func Lint(s *Source, dialect Dialect) []Finding {
	rules := lintRules()
	var found []Finding
	for _, mig := range s.Migrations {
		l := &linter{source: s, mig: mig, dialect: dialect, fresh: map[string]bool{}}
		for i, st := range mig.Up.Statements {
			l.statement(rules, i, plainSQL(st.SQL))
		}
		found = append(found, l.found...)
	}
	return found
}

type linter struct {
	source  *Source
	mig     Migration
	dialect Dialect
	fresh   map[string]bool
	limited bool // lock_timeout is set
	warned  bool
	found   []Finding
}

func (l *linter) statement(rules []lintRule, i int, sql string) {
	if m := makesTable().FindStringSubmatch(sql); m != nil {
		l.fresh[m[1]] = true
	}
	if lockTimeout().MatchString(sql) {
		l.limited = true
	}
	fresh := l.fresh[tableOf(sql)]
	for _, r := range rules {
		applies := (r.dialect == "" || l.dialect == "" || r.dialect == l.dialect) && !(r.inTransaction && l.mig.Up.NoTransaction)
		if applies && (!fresh || r.certain) && r.match.MatchString(sql) && (r.unless == nil || !r.unless.MatchString(sql)) {
			l.add(i, r.name, r.message, r.hint, r.certain)
		}
	}
	if l.dialect != SQLite && !l.limited && !l.warned && !fresh && takesLock().MatchString(sql) && !strings.Contains(sql, " CONCURRENTLY") {
		l.warned = true
		l.add(i, "lock-timeout", "it waits for a lock without a limit, and everybody behind it waits too", "begin the migration with SET LOCAL lock_timeout = '5s'", false)
	}
}

func tableOf(sql string) string {
	for _, name := range ofTable().FindStringSubmatch(sql) {
		if name != "" && name != sql && !strings.Contains(name, " ") {
			return name
		}
	}
	return ""
}

func (l *linter) add(i int, rule, message, hint string, certain bool) {
	st := l.mig.Up.Statements[i]
	pos := (&Migrator{source: l.source}).at(l.mig.Up.File)
	pos.Line, pos.Column = st.Line, st.Column
	l.found = append(l.found, Finding{
		Rule: rule, Version: l.mig.Version, Statement: i + 1, Pos: pos, Hint: hint, Certain: certain,
		Message: fmt.Sprintf("migration %d (%s), statement %d: %s", l.mig.Version, l.mig.Name, i+1, message),
	})
}

// plainSQL is a statement for matching: normalised, in capitals, the text in
// quotes blanked so that it is not taken for SQL.
func plainSQL(sql string) string {
	s := normalise(sql)
	var b strings.Builder
	for i := 0; i < len(s); {
		n, _ := tokenLength(s[i:], b.String())
		token := s[i : i+n]
		switch token[0] {
		case '\'':
			b.WriteString("''")
		case '"', '`':
			b.WriteString(strings.ToUpper(strings.ReplaceAll(strings.Trim(token, `"`+"`"), " ", "_")))
		case '$':
			b.WriteString("$$")
		default:
			b.WriteString(strings.ToUpper(token))
		}
		i += n
	}
	return b.String()
}

// Validate checks the files, and against the database what only it can say.
// It writes nothing.
func (m *Migrator) Validate(ctx context.Context) ([]Finding, error) {
	h, err := m.history(ctx)
	if err != nil {
		return nil, err
	}
	found := Lint(m.source, DialectOf(m.o.URL))
	for _, mig := range m.source.Migrations {
		r, recorded := h.records[mig.Version]
		switch {
		case !h.applied[mig.Version] && mig.Version < h.current():
			found = append(found, Finding{
				Rule: "out-of-order", Version: mig.Version, Pos: m.at(mig.Up.File), Certain: true,
				Message: fmt.Sprintf("migration %d (%s) comes before version %d, which is applied", mig.Version, mig.Name, h.current()),
				Hint:    "give it a higher version",
			})
		case h.applied[mig.Version] && recorded && r.hash != mig.Hash:
			found = append(found, Finding{
				Rule: "changed", Version: mig.Version, Pos: m.at(mig.Up.File), Certain: true,
				Message: fmt.Sprintf("migration %d (%s) was changed after it was applied", mig.Version, mig.Name),
				Hint:    "put the old text back and write a new migration",
			})
		}
	}
	return found, nil
}

// Judge fails where a finding is certain to go wrong, or, where strict, at any.
func Judge(found []Finding, strict bool) error {
	wrong := 0
	for _, f := range found {
		if f.Certain || strict {
			wrong++
		}
	}
	if wrong == 0 {
		return nil
	}
	return fault.New(fault.Config, "%d of the findings must be mended", wrong)
}
