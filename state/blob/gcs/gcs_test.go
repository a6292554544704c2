//go:build services

package gcs

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/internal/faultproxy"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/statetest"
)

const testBucket = "wfctl-state-test"

// server makes the test's bucket on a real fake-gcs-server, named as
// http://127.0.0.1:4443.
func server(t *testing.T) {
	t.Helper()
	address := os.Getenv("WFCTL_TEST_GCS")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("WFCTL_TEST_GCS is not set")
		}
		t.Skip("WFCTL_TEST_GCS is not set: make services")
	}
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(address, "http://"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/storage/v1/b?project=test", strings.NewReader(`{"name":"`+testBucket+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusConflict {
		t.Fatalf("make the bucket: %s", res.Status)
	}
}

func TestDriver(t *testing.T) {
	server(t)
	statetest.Run(t, func(t testing.TB) statetest.Opener {
		o := Options{Bucket: testBucket, Prefix: fmt.Sprintf("suite/%d", time.Now().UnixNano())}
		return func(env string) (state.Driver, error) { return Open(t.Context(), o, env) }
	})
}

// behind opens the same place through a proxy, and without.
func behind(t *testing.T, o faultproxy.Options) (through, sound statetest.Opener, proxy *faultproxy.Proxy) {
	t.Helper()
	server(t)
	direct := os.Getenv("WFCTL_TEST_GCS")
	proxy, err := faultproxy.HTTP(direct, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	options := Options{Bucket: testBucket, Prefix: fmt.Sprintf("flaky/%d", time.Now().UnixNano())}
	open := func(host string) statetest.Opener {
		return func(env string) (state.Driver, error) {
			t.Setenv("STORAGE_EMULATOR_HOST", host)
			return Open(t.Context(), options, env)
		}
	}
	return open(proxy.Addr), open(direct), proxy
}

// A way to the server that drops, delays, cuts off and refuses loses nothing
// that was said to be durable.
func TestFlaky(t *testing.T) {
	through, sound, _ := behind(t, faultproxy.Options{Seed: 1, OneIn: 6, Jitter: 3 * time.Millisecond})
	statetest.RunFlaky(t, through, sound)
}

func TestPartition(t *testing.T) {
	through, sound, proxy := behind(t, faultproxy.Options{})
	statetest.RunPartition(t, through, sound, proxy)
}
