module a.example/x/v2

go 1.24
