module corp.example/lib

go 1.24
