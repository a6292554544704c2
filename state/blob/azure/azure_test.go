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

// A storage that drops, delays, cuts and refuses loses nothing that was said
// to be durable.
func TestFlaky(t *testing.T) {
	sound := server(t)
	sound.Prefix = fmt.Sprintf("flaky/%d", time.Now().UnixNano())
	flaky := sound
	host := strings.TrimSuffix(sound.Endpoint, "/"+sound.Account)
	flaky.Endpoint = statetest.FlakyProxy(t, host, 2) + "/" + sound.Account
	statetest.RunFlaky(t,
		func(env string) (state.Driver, error) { return Open(t.Context(), flaky, env) },
		func(env string) (state.Driver, error) { return Open(t.Context(), sound, env) })
}
