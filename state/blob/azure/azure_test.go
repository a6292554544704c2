//go:build services

package azure

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/gocodealone/wfctl/internal/faultproxy"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/statetest"
)

const testContainer = "wfctl-state-test"

// server makes the test's container on a real Azurite, named as
// http://ACCOUNT:KEY@127.0.0.1:10000 with the key percent-encoded.
func server(t *testing.T) Options {
	t.Helper()
	address := os.Getenv("WFCTL_TEST_AZURE")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("WFCTL_TEST_AZURE is not set")
		}
		t.Skip("WFCTL_TEST_AZURE is not set: make services")
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		t.Fatal("WFCTL_TEST_AZURE is no URL with an account and a key")
	}
	key, _ := u.User.Password()
	t.Setenv("AZURE_STORAGE_KEY", key)
	account := u.User.Username()
	u.User = nil
	o := Options{Account: account, Container: testContainer, Endpoint: strings.TrimSuffix(u.String(), "/") + "/" + account}
	client, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		t.Fatal(err)
	}
	return o
}

func TestDriver(t *testing.T) {
	o := server(t)
	statetest.Run(t, func(t testing.TB) statetest.Opener {
		o := o
		o.Prefix = fmt.Sprintf("suite/%d", time.Now().UnixNano())
		return func(env string) (state.Driver, error) { return Open(t.Context(), o, env) }
	})
}

// behind opens the same place through a proxy, and without.
func behind(t *testing.T, o faultproxy.Options) (through, sound statetest.Opener, proxy *faultproxy.Proxy) {
	t.Helper()
	direct := server(t)
	direct.Prefix = fmt.Sprintf("flaky/%d", time.Now().UnixNano())
	proxy, err := faultproxy.HTTP(strings.TrimSuffix(direct.Endpoint, "/"+direct.Account), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	indirect := direct
	indirect.Endpoint = "http://" + proxy.Addr + "/" + direct.Account
	return func(env string) (state.Driver, error) { return Open(t.Context(), indirect, env) },
		func(env string) (state.Driver, error) { return Open(t.Context(), direct, env) }, proxy
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
