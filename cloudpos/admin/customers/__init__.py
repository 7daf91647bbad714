"""The customer in the admin: a fast list, one page that brings every domain together, and its operations."""

from django.contrib import admin

from cloudpos.admin.customers.customer import CustomerAdmin
from customers.models import Customer

admin.site.register(Customer, CustomerAdmin)
