package lock_test

func installForever(string) {}
