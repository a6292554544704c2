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

// opener makes drivers on one schema per name; the schemas go with the test.
func opener(tb testing.TB) eventtest.Maker {
	url := os.Getenv("WFCTL_TEST_POSTGRES")
	switch {
	case url == "" && os.Getenv("CI") == "true":
		tb.Fatal("WFCTL_TEST_POSTGRES is not set")
	case url == "":
		tb.Skip("WFCTL_TEST_POSTGRES is not set: make services")
	}
	schemas := map[string]string{}
	return func(tb testing.TB, name string) event.Driver {
		tb.Helper()
		schema, ok := schemas[name]
		if !ok {
			schema = "ev_" + strings.ToLower(rand.Text())
			schemas[name] = schema
			tb.Cleanup(func() { drop(tb, url, schema) })
		}
		d, err := postgres.Open(tb.Context(), url, schema)
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

func drop(tb testing.TB, url, schema string) {
	ctx := context.WithoutCancel(tb.Context()) // the test's own is over
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Error(err)
		return
	}
	defer conn.Close(ctx) //nolint:errcheck // the test is over
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
		tb.Error(err)
	}
}

func TestDriver(t *testing.T) { eventtest.Run(t, opener(t), eventtest.Options{Shared: true}) }

func BenchmarkEventStoreAppend_Postgres(b *testing.B) { eventtest.BenchAppend(b, opener(b)(b, "x")) }
