package do

import (
	"cmp"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// settings are the configuration of the iac.provider module.
type settings struct {
	Token          string       `json:"token,omitempty" wfctl:"sensitive,writeonly" doc:"API token; by default $DIGITALOCEAN_TOKEN or $DIGITALOCEAN_ACCESS_TOKEN"`
	APIURL         string       `json:"api_url,omitempty" doc:"where the API is; by default $DIGITALOCEAN_API_URL or the public one" example:"https://api.digitalocean.com"`
	Region         string       `json:"region,omitempty" doc:"where resources are that name no region" example:"nyc3"`
	SpacesEndpoint string       `json:"spaces_endpoint,omitempty" doc:"where Spaces are; by default $SPACES_ENDPOINT or https://REGION.digitaloceanspaces.com"`
	SpacesKeyID    string       `json:"spaces_access_id,omitempty" doc:"key of Spaces; by default $SPACES_ACCESS_KEY_ID"`
	SpacesSecret   string       `json:"spaces_secret_key,omitempty" wfctl:"sensitive,writeonly" doc:"its secret; by default $SPACES_SECRET_ACCESS_KEY"`
	PollInterval   sdk.Duration `json:"poll_interval,omitempty" doc:"how soon to look again at something that takes time; it grows eightfold; by default $DIGITALOCEAN_POLL_INTERVAL or 2s"`
}

// environment lists what the provider reads of it.
func environment() []string {
	return []string{
		"DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_API_URL", "DIGITALOCEAN_POLL_INTERVAL",
		"SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "SPACES_ENDPOINT",
		"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	}
}

// account is a configured provider: the API with what goes for all requests.
type account struct {
	api    *godo.Client
	clock  Clock
	region string
	poll   time.Duration
	// project and environment are whose it is.
	project, environment string

	spacesEndpoint, spacesKeyID string
	spacesSecret                sdk.Sensitive
	access                      spacesAccess
	// trusting is held from the reading of a cluster's trusted sources to their
	// writing: the API knows the whole list only.
	trusting sync.Mutex
	// transport reaches what is not the API: Spaces, logs.
	transport http.RoundTripper
}

// answerTimeout is how long the API may take to answer one request.
const answerTimeout = time.Minute

// open makes an account of a configuration. It asks nothing of the API.
func open(s settings, o Options) (*account, error) {
	getenv := o.Getenv
	token := cmp.Or(s.Token, getenv("DIGITALOCEAN_TOKEN"), getenv("DIGITALOCEAN_ACCESS_TOKEN"))
	if token == "" {
		e := sdk.Errorf(sdk.CodeUnauthorised, "provider digitalocean has no token")
		e.Path = "/token"
		return nil, e.WithHint(`set config.token of the iac.provider module, such as token: "${DIGITALOCEAN_TOKEN}"`)
	}
	poll, err := pollInterval(s, getenv)
	if err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.ResponseHeaderTimeout = answerTimeout
		transport = own
	}
	a := &account{
		clock: o.Clock, region: s.Region, poll: poll, transport: transport,
		spacesEndpoint: cmp.Or(s.SpacesEndpoint, getenv("SPACES_ENDPOINT")), spacesKeyID: cmp.Or(s.SpacesKeyID, getenv("SPACES_ACCESS_KEY_ID")),
		spacesSecret: sdk.NewSensitive(cmp.Or(s.SpacesSecret, getenv("SPACES_SECRET_ACCESS_KEY"))),
	}
	base := cmp.Or(s.APIURL, getenv("DIGITALOCEAN_API_URL"), "https://api.digitalocean.com/")
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, invalid("/api_url", "api_url %q is not the address of an API", base)
	}
	client := &http.Client{Transport: &retrying{next: transport, clock: o.Clock, token: sdk.NewSensitive(token), host: u.Host}}
	a.api, err = godo.New(client, godo.SetBaseURL(base), godo.SetUserAgent("wfctl/"+o.Version))
	return a, sdk.Wrap(sdk.CodeInvalid, err, "make a client of the API")
}

func pollInterval(s settings, getenv func(string) string) (time.Duration, error) {
	poll := time.Duration(s.PollInterval)
	if text := getenv("DIGITALOCEAN_POLL_INTERVAL"); poll == 0 && text != "" {
		var err error
		if poll, err = time.ParseDuration(text); err != nil {
			return 0, invalid("/poll_interval", "DIGITALOCEAN_POLL_INTERVAL is %q; it is a duration such as 2s", text)
		}
	}
	if poll < 0 {
		return 0, invalid("/poll_interval", "poll_interval must be positive")
	}
	return cmp.Or(poll, 2*time.Second), nil
}

// close ends the connections that wait for another request.
func (a *account) close() {
	if idle, ok := a.transport.(interface{ CloseIdleConnections() }); ok {
		idle.CloseIdleConnections()
	}
}
