//go:build services

package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/faultproxy"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/statetest"
)

const testBucket = "wfctl-state-test"

// server makes the test's bucket on a real S3 server, named as
// http://KEY:SECRET@127.0.0.1:7070, and returns the options to reach it.
func server(t *testing.T) Options {
	t.Helper()
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
	secret, _ := u.User.Password()
	t.Setenv("AWS_ACCESS_KEY_ID", u.User.Username())
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	u.User = nil
	o := Options{Bucket: testBucket, Region: "us-east-1", Endpoint: u.String(), UsePathStyle: true}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(o.Region))
	if err != nil {
		t.Fatal(err)
	}
	client := awss3.NewFromConfig(cfg, func(c *awss3.Options) { c.UsePathStyle, c.BaseEndpoint = true, aws.String(o.Endpoint) })
	_, err = client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(testBucket)})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if err != nil && !errors.As(err, &owned) && !errors.As(err, &exists) {
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

// What is wrong with the place is said, and nothing is taken for an empty state.
func TestWrongPlace(t *testing.T) {
	o := server(t)
	o.Bucket = "no-such-bucket-here"
	wantFault(t, o, "does not exist")
	o = server(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	wantFault(t, o, "denied")
	o.Endpoint = "http://127.0.0.1:1"
	wantFault(t, o, "does not answer")
}

func wantFault(t *testing.T, o Options, words string) {
	t.Helper()
	d, err := Open(t.Context(), o, "p/e")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a test
	_, err = state.Open(t.Context(), d, state.Options{})
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.State || f.Hint == "" || !strings.Contains(f.Message, words) {
		t.Errorf("%v, want %q and a hint", err, words)
	}
}

func BenchmarkAppend(b *testing.B) {
	o := Options{Bucket: testBucket, Region: "us-east-1", UsePathStyle: true, Prefix: fmt.Sprintf("bench/%d", time.Now().UnixNano())}
	u, err := url.Parse(os.Getenv("WFCTL_TEST_S3"))
	if err != nil || u.User == nil {
		b.Skip("WFCTL_TEST_S3 is not set: make services")
	}
	secret, _ := u.User.Password()
	b.Setenv("AWS_ACCESS_KEY_ID", u.User.Username())
	b.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	u.User = nil
	o.Endpoint = u.String()
	d, err := Open(b.Context(), o, "p/e")
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a benchmark
	for i := 0; b.Loop(); i++ {
		if err := d.Append(b.Context(), uint64(i+1), make([]byte, 2000)); err != nil {
			b.Fatal(err)
		}
	}
}

// behind opens the same place through a proxy, and without.
func behind(t *testing.T, o faultproxy.Options) (through, sound statetest.Opener, proxy *faultproxy.Proxy) {
	t.Helper()
	direct := server(t)
	direct.Prefix = fmt.Sprintf("flaky/%d", time.Now().UnixNano())
	proxy, err := faultproxy.HTTP(direct.Endpoint, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	indirect := direct
	indirect.Endpoint = "http://" + proxy.Addr
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

// A store that takes every PUT and ignores If-None-Match is refused before
// anything is written to the log.
func TestStoreThatOverwrites(t *testing.T) {
	puts := 0
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			puts++
		case r.URL.Query().Has("list-type"):
			_, _ = io.WriteString(w, "<ListBucketResult></ListBucketResult>")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer store.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	d, err := Open(t.Context(), Options{Bucket: "b", Region: "r", Endpoint: store.URL, UsePathStyle: true}, "p/e")
	if err != nil {
		t.Fatal(err)
	}
	l, err := state.Open(t.Context(), d, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	_, err = l.Lock(t.Context(), state.Holder{Who: "a"}, state.LockOptions{})
	var f *fault.Error
	if !errors.As(err, &f) || !strings.Contains(f.Message, "overwrites an object") || !strings.Contains(f.Hint, "If-None-Match") || puts != 2 {
		t.Errorf("%v, after %d objects", err, puts)
	}
}
