module ocrun.example/tasks

go 1.19
