package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/migrate"
)

// logger writes what happens, as JSON lines or for people.
type logger struct {
	json *slog.Logger
	text io.Writer
}

func (c *command) logger() *logger {
	if c.log == nil {
		c.log = &logger{}
		if c.format == "text" {
			c.log.text = c.Stderr
		} else {
			c.log.json = slog.New(slog.NewJSONHandler(c.Stderr, &slog.HandlerOptions{ReplaceAttr: rfc3339}))
		}
	}
	return c.log
}

// rfc3339 writes times in UTC, whatever the container's zone.
func rfc3339(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Time(slog.TimeKey, a.Value.Time().UTC())
	}
	return a
}

func (l *logger) event(e migrate.Event) {
	if l.text != nil {
		_, _ = fmt.Fprintln(l.text, progress(e))
		return
	}
	if e.Version == 0 {
		l.json.Info(e.Message)
		return
	}
	l.json.Info("statement", "version", e.Version, "name", e.Name, "statement", e.Statement, "of", e.Total, "sql", e.Message)
}

func progress(e migrate.Event) string {
	if e.Version == 0 {
		return e.Message
	}
	return fmt.Sprintf("%d %s: %d/%d %s", e.Version, e.Name, e.Statement, e.Total, e.Message)
}

// failure writes each fault of an error with its code, place and hint.
func (l *logger) failure(err error) {
	var list fault.List
	var one *fault.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = fault.List{one}
	default:
		list = fault.List{fault.Wrap(fault.Internal, err, "workflow-migrate")}
	}
	for _, f := range list {
		if l.text != nil {
			l.explain(f)
			continue
		}
		attrs := []slog.Attr{slog.String("code", string(f.Code))}
		for _, a := range []slog.Attr{slog.String("hint", f.Hint), slog.String("at", f.Pos.String()), slog.String("source", f.Source)} {
			if a.Value.String() != "" {
				attrs = append(attrs, a)
			}
		}
		if len(f.Detail) > 0 {
			attrs = append(attrs, slog.Any("detail", f.Detail))
		}
		said := *f
		said.Pos = fault.Position{}
		l.json.LogAttrs(context.Background(), slog.LevelError, said.Error(), attrs...)
	}
}

func (l *logger) explain(f *fault.Error) {
	lines := append([]string{"Error: " + f.Error()}, f.Detail...)
	if f.Hint != "" {
		lines = append(lines, "Hint: "+f.Hint)
	}
	_, _ = fmt.Fprintln(l.text, strings.Join(lines, "\n"))
}
