//go:build services

package world_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// A cluster that is made by the API answers, and goes with it.
func TestClusterOfTheAPI(t *testing.T) {
	s := fakedo.Start(t, fakedo.Options{World: open(t)})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	api, err := godo.New(&http.Client{Transport: bearer{transport}}, godo.SetBaseURL(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	db, _, err := api.Databases.Create(t.Context(), &godo.DatabaseCreateRequest{
		Name: "guests", EngineSlug: "pg", SizeSlug: "db-s-1vcpu-1gb", Region: "nyc3", NumNodes: 1, Rules: []*godo.DatabaseCreateFirewallRule{},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), db.Connection.URI)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := api.Databases.Delete(t.Context(), db.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), db.Connection.URI); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the cluster is gone and answers: %v", err)
	}
}

type bearer struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+fakedo.Token)
	return b.next.RoundTrip(r)
}
