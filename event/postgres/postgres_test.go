//go:build services

package postgres_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/eventtest"
	"github.com/gocodealone/wfctl/event/postgres"
)

// address is that of the database for tests.
func address(tb testing.TB) string {
	url := os.Getenv("WFCTL_TEST_POSTGRES")
	switch {
	case url == "" && os.Getenv("CI") == "true":
		tb.Fatal("WFCTL_TEST_POSTGRES is not set")
	case url == "":
		tb.Skip("WFCTL_TEST_POSTGRES is not set: make services")
	}
	return url
}

// opener makes drivers on one schema per name; the schemas go with the test.
func opener(tb testing.TB) eventtest.Maker {
	url := address(tb)
	schemas := map[string]string{}
	return func(tb testing.TB, name string) event.Driver {
		tb.Helper()
		schema, ok := schemas[name]
		if !ok {
			schema = "ev_" + strings.ToLower(rand.Text())
			schemas[name] = schema
			tb.Cleanup(func() { sql(tb, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
		}
		d, err := postgres.Open(tb.Context(), url, schema)
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

// sql does something behind the driver's back.
func sql(tb testing.TB, statement string) {
	ctx := context.WithoutCancel(tb.Context()) // the test's own may be over
	conn, err := pgx.Connect(ctx, address(tb))
	if err != nil {
		tb.Error(err)
		return
	}
	defer conn.Close(ctx) //nolint:errcheck // the statement is done
	if _, err := conn.Exec(ctx, statement); err != nil {
		tb.Error(err)
	}
}

func TestDriver(t *testing.T) { eventtest.Run(t, opener(t), eventtest.Options{Shared: true}) }

// Tables that an earlier version made lack columns that are asked for: a
// command that only looks brings them up to date.
func TestTablesOfAnEarlierVersion(t *testing.T) {
	schema := "ev_" + strings.ToLower(rand.Text())
	open := func() *event.Store {
		d, err := postgres.Open(t.Context(), address(t), schema)
		if err != nil {
			t.Fatal(err)
		}
		s := event.Open(d, event.StoreOptions{})
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Cleanup(func() { sql(t, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	s := open()
	for _, project := range []string{"shop", "blog"} {
		if _, err := s.Append(t.Context(), "of-"+project, event.RunStarted{Run: "of-" + project, Project: project}); err != nil {
			t.Fatal(err)
		}
	}
	sql(t, "ALTER TABLE "+schema+".run DROP COLUMN project, DROP COLUMN answers")
	if runs, err := open().Runs(t.Context(), event.Query{Project: "shop"}); err != nil || len(runs) != 1 || runs[0].ID != "of-shop" {
		t.Errorf("%+v, %v", runs, err)
	}
}

func BenchmarkEventStoreAppend_Postgres(b *testing.B) { eventtest.BenchAppend(b, opener(b)(b, "x")) }
