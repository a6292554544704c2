//go:build services

package do

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
)

// Buckets on a real S3 server, named as http://KEY:SECRET@127.0.0.1:7070: the
// fake has what we believe of S3, this one has it from elsewhere.
func TestBucketOnARealServer(t *testing.T) {
	address := os.Getenv("WFCTL_TEST_S3")
	if address == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("WFCTL_TEST_S3 is not set")
		}
		t.Skip("WFCTL_TEST_S3 is not set: make services")
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		t.Fatal("WFCTL_TEST_S3 is no URL with a key and a secret")
	}
	c := newCloud(t, fakedo.Options{})
	secret, _ := u.User.Password()
	a := c.p.(*provider).account.Load()
	a.spacesKeyID, a.spacesSecret = u.User.Username(), sdk.NewSensitive(secret)
	u.User = nil
	a.spacesEndpoint, a.region = u.String(), "us-east-1"
	testBucket(t, c, fmt.Sprintf("wfctl-test-%d", time.Now().UnixNano()))
	c.empty()
}
