// Nothing is built here: the documents of these modules are read, and go.sum says what is in them.
module skein.local/components/kubernetes-schemas

go 1.26
