//go:build services

package cli_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The same in a PostgreSQL database, which is made for the test.
func TestRecordsOfSeveralProjectsInPostgres(t *testing.T) {
	server := os.Getenv("WFCTL_TEST_POSTGRES")
	switch {
	case server == "" && os.Getenv("CI") == "true":
		t.Fatal("WFCTL_TEST_POSTGRES is not set")
	case server == "":
		t.Skip("WFCTL_TEST_POSTGRES is not set: make services")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/records_" + strings.ToLower(rand.Text())
	do := func(statement string) {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx) //nolint:errcheck // the statement is done
		if _, err := conn.Exec(ctx, statement+u.Path[1:]); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE DATABASE ")
	t.Cleanup(func() { do("DROP DATABASE ") })
	// The scripts run in parallel with what comes after them in this function:
	// the group ends when they have.
	t.Run("scripts", func(t *testing.T) { records(t, u.String()) })
}
