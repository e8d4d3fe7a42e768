module corp.example/Upper/v2

go 1.24
