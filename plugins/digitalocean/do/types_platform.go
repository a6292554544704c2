package do

// platformTypes are those of App Platform, Spaces and the registry.
func platformTypes() []kind {
	return []kind{
		containerServices(), apiGateways(), containerRegistries(), buckets(), spacesKeyResources(),
	}
}
