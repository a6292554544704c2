package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// pullRequest is the one that a workflow runs for.
type pullRequest struct {
	api, repository, token string
	number                 int
	client                 *http.Client
}

// pullRequest reads what GitHub Actions says of it.
func (a *App) pullRequest() (*pullRequest, error) {
	pr := &pullRequest{api: "https://api.github.com", client: &http.Client{Timeout: 30 * time.Second}}
	if api, ok := a.Getenv("GITHUB_API_URL"); ok && api != "" {
		pr.api = strings.TrimSuffix(api, "/")
	}
	path, _ := a.Getenv("GITHUB_EVENT_PATH")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Environment, "--comment needs a workflow that runs for a pull request").WithHint("GitHub Actions sets GITHUB_EVENT_PATH")
	}
	var event struct {
		PullRequest struct {
			Number int `json:"number"`
		} `json:"pull_request"`
	}
	if err := json.Unmarshal(raw, &event); err != nil || event.PullRequest.Number == 0 {
		return nil, fault.New(fault.Environment, "--comment needs a workflow that runs for a pull request").WithHint("on: pull_request")
	}
	pr.number = event.PullRequest.Number
	pr.repository, _ = a.Getenv("GITHUB_REPOSITORY")
	if pr.token, _ = a.Getenv("GITHUB_TOKEN"); pr.token == "" || pr.repository == "" {
		return nil, fault.New(fault.Environment, "--comment needs GITHUB_TOKEN and GITHUB_REPOSITORY").
			WithHint("env: {GITHUB_TOKEN: \"${{ github.token }}\"}, with permissions: {pull-requests: write}")
	}
	return pr, nil
}

// put writes a comment with a marker, in place of the one that has it.
func (p *pullRequest) put(ctx context.Context, marker, text string) error {
	id, err := p.find(ctx, marker)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"body": marker + "\n" + text})
	if err != nil {
		return err
	}
	if id != 0 {
		_, err = p.call(ctx, http.MethodPatch, fmt.Sprintf("/repos/%s/issues/comments/%d", p.repository, id), body)
		return err
	}
	_, err = p.call(ctx, http.MethodPost, fmt.Sprintf("/repos/%s/issues/%d/comments", p.repository, p.number), body)
	return err
}

func (p *pullRequest) find(ctx context.Context, marker string) (int64, error) {
	for page := 1; ; page++ {
		raw, err := p.call(ctx, http.MethodGet, fmt.Sprintf("/repos/%s/issues/%d/comments?per_page=100&page=%d", p.repository, p.number, page), nil)
		if err != nil {
			return 0, err
		}
		var comments []struct {
			ID   int64  `json:"id"`
			Body string `json:"body"`
		}
		if err := json.Unmarshal(raw, &comments); err != nil {
			return 0, fault.Wrap(fault.Provider, err, "read the comments of the pull request")
		}
		for _, c := range comments {
			if strings.HasPrefix(c.Body, marker) {
				return c.ID, nil
			}
		}
		if len(comments) < 100 {
			return 0, nil
		}
	}
}

func (p *pullRequest) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.api+path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "ask GitHub")
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	res, err := p.client.Do(req)
	if err != nil {
		return nil, fault.Wrap(fault.Provider, err, "ask GitHub")
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, fault.Wrap(fault.Provider, err, "ask GitHub")
	}
	if res.StatusCode >= 300 {
		f := fault.New(fault.Provider, "GitHub answers %s to %s %s", res.Status, method, path)
		if res.StatusCode == http.StatusForbidden {
			f = f.WithHint("the job needs permissions: {pull-requests: write}")
		}
		return nil, f
	}
	return raw, nil
}
