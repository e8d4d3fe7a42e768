module corp.example/half

go 1.24
