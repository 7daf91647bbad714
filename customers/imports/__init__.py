"""Customers from files: uploaded in parts, read as a table, checked row by row, imported by a job, and taken back again.

Why it is so: docs/adr/0030-imports.md.

    storage    the file's parts, and reading them as one file
    tables     how the file is read: encoding, delimiter, sheet; its rows as lists of texts
    fields     what a column may be, and guessing it from its name
    values     what people write for a day, a yes or a country
    rows       from a row of texts to what the services take
    matching   which customer a row means
    deciding   what is to be done about each row of a chunk; nothing is written
    writing    doing it
    running    the jobs: check and import
"""
