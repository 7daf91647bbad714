from django.urls import path

from loyalty import views

urlpatterns = [
    path("customers/loyalty/points", views.PointsView.as_view()),
    path("customers/<uuid:customer_id>/loyalty", views.StandingView.as_view()),
    path("customers/<uuid:customer_id>/loyalty/transactions", views.EntriesView.as_view()),
    path("loyalty/program", views.ProgramView.as_view()),
]
