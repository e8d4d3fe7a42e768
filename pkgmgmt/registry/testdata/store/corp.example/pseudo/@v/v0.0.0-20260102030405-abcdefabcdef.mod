module corp.example/pseudo

go 1.24
