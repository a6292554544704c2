package sigstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TokenVariable holds an identity token for Sigstore where the system gives
// one, as GitLab does; cosign reads the same.
const TokenVariable = "SIGSTORE_ID_TOKEN"

// The variables that GitHub Actions gives a job with `id-token: write`.
const (
	actionsURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	actionsToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN" //nolint:gosec // a name
)

// audience is whom a token is for: Fulcio takes no other.
const audience = "sigstore"

// ErrNoToken says that nothing here can say who signs.
var ErrNoToken = errors.New("there is no identity to sign with: neither " + TokenVariable + " nor GitHub Actions' " + actionsURL + " is set")

// CanToken tells whether Token finds a token here, without asking for one.
func CanToken(getenv func(string) string) error {
	if getenv(TokenVariable) == "" && getenv(actionsURL) == "" {
		return ErrNoToken
	}
	return nil
}

// Token returns an identity token: the one that a variable holds, or one that
// GitHub Actions gives the job. Its error never holds a token.
func Token(ctx context.Context, getenv func(string) string) (string, error) {
	if token := strings.TrimSpace(getenv(TokenVariable)); token != "" {
		return token, nil
	}
	address := getenv(actionsURL)
	if address == "" {
		return "", ErrNoToken
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%s is no address", actionsURL)
	}
	query := u.Query()
	query.Set("audience", audience)
	u.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", fmt.Errorf("%s is no address", actionsURL)
	}
	req.Header.Set("Authorization", "Bearer "+getenv(actionsToken))
	return askToken(req)
}

func askToken(req *http.Request) (string, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask GitHub Actions for an identity token: %w", withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("ask GitHub Actions for an identity token: %w", withoutURL(err))
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GitHub Actions gives no identity token: it answers %s", res.Status)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(raw, &answer) != nil || answer.Value == "" {
		return "", errors.New("GitHub Actions gives no identity token: its answer holds none")
	}
	return answer.Value, nil
}

// withoutURL drops the address, which is long and nobody's business.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
