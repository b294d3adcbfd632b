create database NAME template template0
