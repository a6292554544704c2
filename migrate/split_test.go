package migrate

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	cases := []struct {
		name, text string
		want       []string
	}{
		{"two", "SELECT 1; SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		{"no semicolon at the end", "SELECT 1;\nSELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{"comments alone", "-- a\n/* b; /* nested; */ */\n;;", nil},
		{"in a quote", "INSERT INTO t VALUES ('a;b', 'it''s;', \"c;d\");", []string{"INSERT INTO t VALUES ('a;b', 'it''s;', \"c;d\")"}},
		{"escape string", `SELECT E'a\';b'; SELECT 'a\'; SELECT 2`, []string{`SELECT E'a\';b'`, `SELECT 'a\'`, "SELECT 2"}},
		{"dollar quotes", "DO $$ BEGIN a; END $$; DO $x$ $$;$$ $x$; SELECT $1;", []string{"DO $$ BEGIN a; END $$", "DO $x$ $$;$$ $x$", "SELECT $1"}},
		{"comment in a statement", "SELECT 1 -- a; b\n + 2;", []string{"SELECT 1 -- a; b\n + 2"}},
		{"trigger", "CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END; DELETE FROM u; END; SELECT 1",
			[]string{"CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END; DELETE FROM u; END", "SELECT 1"}},
		{"function body", "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE SQL BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3",
			[]string{"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE SQL BEGIN ATOMIC SELECT 1; SELECT 2; END", "SELECT 3"}},
		{"postgres trigger", "CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION f(); SELECT 1", []string{"CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION f()", "SELECT 1"}},
		{"columns called trigger and begin", "CREATE TABLE s (trigger text, begin date); SELECT 1", []string{"CREATE TABLE s (trigger text, begin date)", "SELECT 1"}},
		{"own transaction", "BEGIN; SELECT 1; COMMIT;", []string{"BEGIN", "SELECT 1", "COMMIT"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := split(c.text, 1)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, s := range got {
				texts = append(texts, s.SQL)
			}
			if !slices.Equal(texts, c.want) {
				t.Errorf("got %q", texts)
			}
		})
	}
}

func TestSplitSaysWhere(t *testing.T) {
	got, err := split("-- head\n\n  SELECT 1;\n/* x */ SELECT\n2;", 10)
	if err != nil || got[0].Line != 12 || got[0].Column != 3 || got[1].Line != 13 || got[1].Column != 9 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, open := range []string{"SELECT 'a", "SELECT \"a", "/* a", "DO $x$ a"} {
		if _, err := split(open, 1); err == nil {
			t.Errorf("%q is taken", open)
		}
	}
}

// Comments and white space change nothing; everything else does.
func TestNormalise(t *testing.T) {
	same := []string{"select  1\n\t+ 'a  b' -- x", "select 1 + 'a  b';", "/* y */ select 1 /* z */ + 'a  b'"}
	for _, s := range same {
		if normalise(s) != "select 1 + 'a  b'" {
			t.Errorf("%q is %q", s, normalise(s))
		}
	}
	if normalise("select 'a b'") == normalise("select 'a  b'") {
		t.Error("text in quotes is changed")
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "sql")
		if n := normalise(s); normalise(n) != n {
			t.Fatalf("%q becomes %q and then %q", s, n, normalise(n))
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("SELECT 1; SELECT 'a;b'; DO $$ x; $$; CREATE TRIGGER t BEGIN x; END;")
	f.Add("E'\\'';--\n/*/**/*/$a$ $a$")
	f.Fuzz(func(t *testing.T, text string) {
		out, err := split(text, 1)
		if err != nil {
			return
		}
		for _, s := range out {
			if strings.TrimSpace(s.SQL) == "" || s.Line < 1 || s.Column < 1 {
				t.Errorf("%+v", s)
			}
			_ = plainSQL(s.SQL)
		}
	})
}
