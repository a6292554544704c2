package pluginhost

func beHost() {}
