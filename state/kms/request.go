package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// Doer sends requests.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// How long a service may take, and how much it may say.
const (
	timeout   = 20 * time.Second
	maxAnswer = 1 << 20
)

// Post sends a JSON object and reads another. prepare adds what proves who
// asks; it may be nil. The errors quote what the service says and nothing of
// what was sent.
func Post(ctx context.Context, client Doer, method, address string, in, out any, prepare func(req *http.Request, body []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if prepare != nil {
		if err := prepare(req, body); err != nil {
			return err
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", res.Status, strings.Join(strings.Fields(string(data[:min(len(data), 500)])), " "))
	}
	return json.Unmarshal(data, out)
}

// ParseURL takes the URL of a key apart: what is between scheme and query is
// the key, and only the named options may follow.
func ParseURL(text, scheme string, options ...string) (key string, query url.Values, err error) {
	rest, ok := strings.CutPrefix(text, scheme+"://")
	key, raw, _ := strings.Cut(rest, "?")
	query, parseErr := url.ParseQuery(raw)
	key = strings.Trim(key, "/")
	if !ok || key == "" || parseErr != nil {
		return "", nil, fault.New(fault.Config, "iac.state: %q is not the URL of a key", text).WithHint("it begins with %s://", scheme)
	}
	for name := range query {
		if !known(name, options) {
			return "", nil, fault.New(fault.Config, "iac.state: the URL of the key has an unknown option %q", name).
				WithHint("known are: %s", strings.Join(options, ", "))
		}
	}
	return key, query, nil
}

func known(name string, options []string) bool {
	for _, o := range options {
		if name == o || strings.HasSuffix(o, "_") && strings.HasPrefix(name, o) {
			return true
		}
	}
	return false
}
