package do

import "github.com/gocodealone/wfctl/sdk/infra"

// types is the table of all resource types.
func types() []kind {
	return append([]kind{
		balancers(),
		caches(),
		certificates(),
		databases(),
		dns(),
		droplets(),
		firewalls(),
		kubernetes(),
		volumes(),
		vpcs(),
	}, platformTypes()...)
}

// unsupported are the portable types that the platform has not, and what to
// use instead.
func unsupported() map[string]string {
	return map[string]string{
		infra.TypeIAMRole: "DigitalOcean has no roles: give a token the scopes that it needs, and use infra.spaces_key for rights on buckets",
	}
}

const (
	uuidFormat = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
	// wordFormat is a name that most types take.
	wordFormat = "^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$"
	wordHint   = "it has letters, digits, dots and hyphens, and begins and ends with a letter or digit"
)
