package pluginhost

import "runtime"

// always are the variables that any program needs to work: to find programs
// and its user's folders, to speak the user's language and time, to trust the
// machine's certificates and to reach the network through its proxy.
func always() []string {
	names := []string{
		"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
	}
	if runtime.GOOS == "windows" {
		names = append(names, "SYSTEMROOT", "SYSTEMDRIVE", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP", "PATHEXT", "COMSPEC", "WINDIR")
	}
	return names
}

// environment is what a plugin's process gets: the variables above and those
// that its schema declares, where they are set.
func (h *Host) environment(declared []string) []string {
	var env []string
	seen := map[string]bool{}
	for _, name := range append(always(), declared...) {
		if value, ok := h.options.Getenv(name); ok && !seen[name] {
			env, seen[name] = append(env, name+"="+value), true
		}
	}
	return env
}
