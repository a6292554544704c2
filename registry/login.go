package registry

import (
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gocodealone/wfctl/fault"
)

// dockerKey is what Docker's configuration calls a host.
func dockerKey(host string) string {
	if host = Canonical(host); host == name.DefaultRegistry {
		return authn.DefaultAuthKey
	}
	return host
}

// dockerConfig loads Docker's configuration of the user: $DOCKER_CONFIG, else
// ~/.docker.
func dockerConfig(getenv func(string) (string, bool)) (*configfile.ConfigFile, error) {
	dir, _ := getenv("DOCKER_CONFIG")
	file, err := config.Load(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read Docker's configuration").WithHint("mend or move the file")
	}
	return file, nil
}

// Login hands a credential to Docker's configuration, or to the credential
// helper that it names for the host. It returns where it went.
func Login(host string, c Credential, getenv func(string) (string, bool)) (string, error) {
	file, err := dockerConfig(getenv)
	if err != nil {
		return "", err
	}
	key := dockerKey(host)
	err = file.GetCredentialsStore(key).Store(types.AuthConfig{ServerAddress: key, Username: c.Username, Password: c.Password.Reveal()})
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "store the credential for %s", host)
	}
	return place(file, key), nil
}

// Logout removes what Docker's configuration holds of a host.
func Logout(host string, getenv func(string) (string, bool)) (string, error) {
	file, err := dockerConfig(getenv)
	if err != nil {
		return "", err
	}
	key := dockerKey(host)
	if err := file.GetCredentialsStore(key).Erase(key); err != nil {
		return "", fault.Wrap(fault.Environment, err, "remove the credential for %s", host)
	}
	return place(file, key), nil
}

func place(file *configfile.ConfigFile, key string) string {
	if helper := file.CredentialHelpers[key]; helper != "" {
		return "the credential helper " + helper
	}
	if file.CredentialsStore != "" {
		return "the credential helper " + file.CredentialsStore
	}
	return file.GetFilename()
}
