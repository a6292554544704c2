package migrate

import (
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// goose reads one of goose's files: both directions, marked by comments.
func (l *loader) goose(name string, version int64, title, text string) {
	m := l.add(name, version, title)
	if m == nil {
		return
	}
	g := &gooseFile{loader: l, name: name}
	for number, line := range strings.Split(text, "\n") {
		g.line(number+1, line)
	}
	g.finish()
	m.Up = Script{File: name, Statements: g.up, NoTransaction: g.noTransaction}
	if len(g.down) > 0 {
		m.Down = &Script{File: name, Statements: g.down, NoTransaction: g.noTransaction}
	}
}

// gooseFile is a file being read: a machine with three states (before Up, in
// Up, in Down), and a mark for a statement that is given whole.
type gooseFile struct {
	loader        *loader
	name          string
	direction     string
	whole         bool
	buf           strings.Builder
	first         int // the line that buf begins at
	up, down      []Statement
	noTransaction bool
	failed        bool
}

func (g *gooseFile) fail(line int, hint, format string, args ...any) {
	if g.failed {
		return // one mistake in the marks makes a mess of the others
	}
	g.failed = true
	pos := g.loader.position(g.name)
	pos.Line = line
	g.loader.fail(pos, hint, format, args...)
}

func (g *gooseFile) line(number int, line string) {
	if mark, ok := gooseMark(line); ok {
		g.mark(number, mark)
		return
	}
	if g.buf.Len() == 0 {
		g.first = number
	}
	g.buf.WriteString(line + "\n")
}

// gooseMark returns the command of a line such as "-- +goose Up".
func gooseMark(line string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "--")
	if !ok {
		return "", false
	}
	rest, ok = strings.CutPrefix(strings.TrimSpace(rest), "+goose")
	return strings.ToUpper(strings.Join(strings.Fields(rest), " ")), ok
}

func (g *gooseFile) mark(number int, mark string) {
	switch mark {
	case "UP", "DOWN":
		if g.direction == mark || mark == "UP" && g.direction == "DOWN" {
			g.fail(number, "a file has one Up and, below it, at most one Down", "a second `-- +goose %s`", title(mark))
		}
		if mark == "DOWN" && g.direction == "" {
			g.fail(number, "Up comes first", "`-- +goose Down` before `-- +goose Up`")
		}
		g.flush(number)
		g.direction = mark
	case "STATEMENTBEGIN":
		if g.whole || g.direction == "" {
			g.fail(number, "it stands below Up or Down, and ends with StatementEnd", "`-- +goose StatementBegin` is out of place")
		}
		g.flush(number)
		g.whole = true
	case "STATEMENTEND":
		if !g.whole {
			g.fail(number, "it ends what StatementBegin began", "`-- +goose StatementEnd` is out of place")
		}
		g.flushWhole()
	case "NO TRANSACTION":
		g.noTransaction = true
	case "ENVSUB OFF":
	case "ENVSUB ON":
		g.fail(number, "write the value into the file: what a migration does must not depend on who runs it", "goose's ENVSUB is not supported")
	default:
		g.fail(number, "known are Up, Down, StatementBegin, StatementEnd and NO TRANSACTION", "`-- +goose %s` is not known", mark)
	}
}

func title(s string) string { return s[:1] + strings.ToLower(s[1:]) }

// flush splits what was read since the last mark.
func (g *gooseFile) flush(number int) {
	text := g.buf.String()
	g.buf.Reset()
	if g.whole {
		g.fail(number, "add `-- +goose StatementEnd`", "a statement that `-- +goose StatementBegin` began has no end")
	}
	statements, ok := g.loader.split(g.name, text, g.first)
	if !ok {
		g.failed = true
		return
	}
	if g.direction == "" && len(statements) > 0 {
		g.fail(statements[0].Line, "begin the file with `-- +goose Up`, or call it NAME.up.sql", "SQL before `-- +goose Up`")
		return
	}
	g.keep(statements...)
}

// flushWhole takes what stands between StatementBegin and StatementEnd.
func (g *gooseFile) flushWhole() {
	text := g.buf.String()
	lead := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	line := g.first + strings.Count(text[:lead], "\n")
	g.buf.Reset()
	g.whole = false
	if sql := strings.TrimSpace(text); sql != "" {
		g.keep(Statement{SQL: sql, Line: line, Column: 1})
	}
}

func (g *gooseFile) keep(statements ...Statement) {
	if g.direction == "DOWN" {
		g.down = append(g.down, statements...)
		return
	}
	g.up = append(g.up, statements...)
}

func (g *gooseFile) finish() {
	g.flush(0)
	if g.direction == "" {
		pos := g.loader.position(g.name)
		if !g.failed {
			g.loader.faults = append(g.loader.faults, fault.New(fault.Config, "there is no `-- +goose Up`").At(pos).
				WithHint("begin the file with it, or call it NAME.up.sql"))
		}
	}
}
