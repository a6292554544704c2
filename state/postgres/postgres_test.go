//go:build services

package postgres

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/faultproxy"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the URL of a real Postgres.
func server(t testing.TB) string {
	t.Helper()
	address := os.Getenv("WFCTL_TEST_POSTGRES")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("WFCTL_TEST_POSTGRES is not set")
		}
		t.Skip("WFCTL_TEST_POSTGRES is not set: make services")
	}
	return address
}

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// fresh makes the name of a schema that is dropped at the end.
func fresh(t testing.TB) Options {
	t.Helper()
	o := Options{URL: server(t), Schema: fmt.Sprintf("wfctl_test_%d", time.Now().UnixNano())}
	conn := connect(t)
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+o.Schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestDriver(t *testing.T) {
	statetest.Run(t, func(t testing.TB) statetest.Opener {
		o := fresh(t)
		return func(env string) (state.Driver, error) { return Open(t.Context(), o, env) }
	})
}

func mustOpen(t *testing.T, o Options) *driver {
	t.Helper()
	d, err := Open(t.Context(), o, "p/e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d.(*driver)
}

// Several that come to an empty database at once make one set of tables.
func TestMadeByManyAtOnce(t *testing.T) {
	o := fresh(t)
	var wg sync.WaitGroup
	for i := range 8 {
		d, err := Open(t.Context(), o, fmt.Sprint("p/", i))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := d.Append(t.Context(), 1, []byte("x")); err != nil {
				t.Error(err)
			}
			_ = d.Close()
		})
	}
	wg.Wait()
}

// A connection that the server has ended is said to pass, and the next
// request makes a new one.
func TestServerEndsTheConnection(t *testing.T) {
	o := fresh(t)
	d := mustOpen(t, o)
	if err := d.Append(t.Context(), 1, []byte("x")); err != nil {
		t.Fatal(err)
	}
	pid := d.idle[0].PgConn().PID()
	if _, err := connect(t).Exec(t.Context(), "SELECT pg_terminate_backend($1, 5000)", int32(pid)); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), 2, []byte("x")); fault.CodeOf(err) != fault.State || !isUnavailable(err) {
		t.Errorf("a connection that was ended: %v", err)
	}
	if err := d.Append(t.Context(), 2, []byte("x")); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestNewerVersion(t *testing.T) {
	o := fresh(t)
	if err := mustOpen(t, o).Append(t.Context(), 1, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t).Exec(t.Context(), "UPDATE "+o.Schema+".version SET version = 9"); err != nil {
		t.Fatal(err)
	}
	err := mustOpen(t, o).Append(t.Context(), 2, []byte("x"))
	if fault.CodeOf(err) != fault.State || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("a newer version: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	d, err := Open(b.Context(), fresh(b), "p/e")
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a benchmark
	data := make([]byte, 2000)
	for i := 0; b.Loop(); i++ {
		if err := d.Append(b.Context(), uint64(i+1), data); err != nil {
			b.Fatal(err)
		}
	}
}

// behind opens the same place through a proxy, and without.
func behind(t *testing.T, o faultproxy.Options) (through, sound statetest.Opener, proxy *faultproxy.Proxy) {
	t.Helper()
	direct := fresh(t)
	u, err := url.Parse(direct.URL)
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err = faultproxy.TCP(u.Host, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	u.Host = proxy.Addr
	indirect := direct
	indirect.URL = u.String()
	return func(env string) (state.Driver, error) { return Open(t.Context(), indirect, env) },
		func(env string) (state.Driver, error) { return Open(t.Context(), direct, env) }, proxy
}

// A way to the server that drops, delays, cuts off and refuses loses nothing
// that was said to be durable.
func TestFlaky(t *testing.T) {
	through, sound, _ := behind(t, faultproxy.Options{Seed: 1, OneIn: 25, Jitter: 3 * time.Millisecond})
	statetest.RunFlaky(t, through, sound)
}

func TestPartition(t *testing.T) {
	through, sound, proxy := behind(t, faultproxy.Options{})
	statetest.RunPartition(t, through, sound, proxy)
}
